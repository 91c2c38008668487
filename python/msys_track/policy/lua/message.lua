-- The objects that a callout is given: `msg`, `vctx` and `accept`, and the call that they are of.
--
-- A method that is not here raises an error that names it, at the policy's line. What a method
-- changes in the mail is collected outside, and undone there if the policy fails.

local compat, limits, contexts, outside = ...

local error, format, getinfo = error, string.format, debug.getinfo
local gsub, match, sub = string.gsub, string.match, string.sub
local ipairs, newproxy, rawget, select, setmetatable = ipairs, newproxy, rawget, select, setmetatable
local getmetatable, tonumber, tostring, type = getmetatable, tonumber, tostring, type
local band, repair_utf8, utf8_length = compat.band, compat.repair_utf8, compat.utf8_length

local MESSAGE, CONNECTION = contexts.MESSAGE, contexts.CONNECTION
local MAX_REPLY = 400
local CALLER = 3 -- the level of the policy's line, seen from a function that a method calls

local message = {}

-- The current call: peer, listen, helo, user, sender, recipient; and the answer: code, reply.
local call = {}
message.call = call

-- Strings that C fills, as Momentum's `string_new` gives them.

local texts = setmetatable({}, { __mode = "k" })

local string_meta = {
  __tostring = function(held)
    return texts[held]
  end,
  __len = function(held)
    return #texts[held]
  end,
  __concat = function(left, right)
    return tostring(left) .. tostring(right)
  end,
  __index = function(held, key)
    if key == "buffer" then
      return texts[held]
    elseif key == "set" then
      return function(_, text)
        texts[held] = tostring(text)
      end
    end
    error(format("a string of string_new() has no %s here", tostring(key)), 2)
  end,
  __metatable = false,
}

-- A userdata if there is a way to make one: Lua 5.1 asks a table's metatable for no length.
local template = newproxy and newproxy(true)
if template then
  local metatable = getmetatable(template)
  for name, value in next, string_meta do
    metatable[name] = value
  end
end

function message.new_string()
  local held = template and newproxy(template) or setmetatable({}, string_meta)
  texts[held] = ""
  return held
end

-- Arguments and answers.

-- Returns an argument as a string: numbers and strings of C are taken as well.
function message.check_text(method, what, value)
  if type(value) == "number" or texts[value or false] then
    value = tostring(value)
  end
  if type(value) ~= "string" or not utf8_length(value) then
    error(format("%s: the %s must be a string", method, what), CALLER)
  end
  return value
end

local check_text = message.check_text

-- Returns an argument that may have come with the mail: what is no UTF-8 in it, such as a character
-- that string.sub cut, is U+FFFD. No sender makes a policy fail by such a byte.
function message.repair(value)
  return type(value) == "string" and repair_utf8(value) or value
end

local repair = message.repair

-- Calls of Python: refused if memory is short, because Lua could not hold the answer.
function message.ask(question, ...)
  if limits.is_full() then
    error("no memory is left for the answer", CALLER)
  end
  return { question(...) }
end

local ask = message.ask

local COMPONENTS = { all = true, detail = true, domain = true, localpart = true, user = true }

function message.check_component(method, component)
  component = component or "all"
  if not COMPONENTS[component] then
    error(format("%s: unknown component '%s'", method, tostring(component)), CALLER)
  end
  return component
end

local function raise_problem(method, problem)
  if problem then
    error(format("%s: %s", method, problem), CALLER)
  end
end

local noticed = {}

-- Passes over a call whose effect lies outside of a tracking proxy; the log says so once.
function message.pass_over(name)
  if noticed[name] then
    return
  end
  noticed[name] = true
  local info = getinfo(CALLER, "Sl")
  outside.notice(name, info and sub(info.source, 2) or nil, info and info.currentline or nil)
end

local pass_over = message.pass_over

-- Objects: methods, properties that are asked for, and names that a policy may assign to in vain.

local function make_object(name, methods, properties, ignored)
  setmetatable(methods, {
    __index = function(_, key)
      local property = properties[key]
      if property then
        return property()
      end
      error(format("%s%s is not available here", name, tostring(key)), 2)
    end,
    __metatable = false,
  })
  return setmetatable({}, {
    __index = methods,
    __newindex = function(_, key)
      if not ignored[key] then
        error(format("%s%s can't be set here", name, tostring(key)), 2)
      end
    end,
    __metatable = false,
  })
end

local function localpart(address)
  return address and match(address, "^(.*)@[^@]*$") or address
end

local function domain(address)
  return address and match(address, "@([^@]*)$") or address and ""
end

message.localpart, message.domain = localpart, domain

function message.command(name, path)
  return path and format("%s:<%s>", name, path)
end

local command = message.command

-- Returns an address or one part of it: "ip", "port", or both.
function message.endpoint_part(address, flag)
  local host, port = match(address, "^%[?(.-)%]?:(%d+)$")
  if flag == "ip" then
    return host or address
  elseif flag == "port" then
    return port or ""
  end
  return address
end

-- Variables that Momentum sets itself. A policy's own variable of the same name comes first.
contexts.predefined = {
  [MESSAGE] = {
    mailfrom_string = function() return command("MAIL FROM", call.sender) end,
    mailfrom_localpart = function() return localpart(call.sender) end,
    mailfrom_domain = function() return domain(call.sender) end,
    rcptto_string = function() return command("RCPT TO", call.recipient) end,
    rcptto_localpart = function() return localpart(call.recipient) end,
    rcptto_domain = function() return domain(call.recipient) end,
  },
  [CONNECTION] = {
    auth_user = function() return call.user end,
    can_relay = function() return outside.fact("can_relay") end,
    connection_message_count = function() return outside.fact("connection_message_count") end,
    connection_rcpt_count = function() return outside.fact("connection_rcpt_count") end,
    ehlo_domain = function() return call.helo ~= "" and call.helo or nil end,
    ehlo_string = function() return call.helo ~= "" and "EHLO " .. call.helo or nil end,
    message_rcpt_count = function() return format("%d", #{ outside.recipients() }) end,
    tls = function() return outside.fact("tls") end,
  },
}

local function set_code(method, number, text)
  local value = tonumber(number)
  if not value or value % 1 ~= 0 or value < 200 or value > 599 then
    error(format("%s: found code %s, allowed: 200 to 599", method, tostring(number)), CALLER)
  end
  call.code = value
  text = text == nil and "" or tostring(text)
  text = sub(text == "" and "Refused by policy" or text, 1, MAX_REPLY)
  call.reply = gsub(text, "[^ -~]", "?")
end

-- msg

local msg = contexts.methods({
  get = "context_get",
  set = "context_set",
  exists = "context_exists",
  both = "context_exists_and_get",
  delete = "context_delete",
})

local HOWS = { append = "append", prepend = "prepend", replace = "replace" }

local function change_header(name, value, how)
  if value == "" then
    return outside.remove_header(name)
  end
  return outside.change_header(name, value, how)
end

-- Gets the values of a field as a table; with a value, or a table of values, changes the field.
function msg:header(name, value, mode)
  name = check_text("msg:header", "name", name)
  if value == nil then
    return ask(outside.header, name)
  end
  local how = HOWS[mode == nil and "replace" or mode]
  if not how then
    error("msg:header: the mode is 'replace', 'append' or 'prepend'", 2)
  end
  local problem
  if type(value) ~= "table" then
    problem = change_header(name, check_text("msg:header", "value", repair(value)), how)
  elseif #value == 0 and how == "replace" then
    problem = outside.remove_header(name)
  else
    for i, each in ipairs(value) do
      each = check_text("msg:header", "value", repair(each))
      problem = problem or change_header(name, each, how == "replace" and i > 1 and "append" or how)
    end
  end
  if problem then
    error("msg:header: " .. problem, 2)
  end
  return true
end

function msg:address_header(name, component)
  name = check_text("msg:address_header", "name", name)
  component = message.check_component("msg:address_header", component)
  return ask(outside.address_header, name, component)
end

-- Gets the recipient, or sends the recipient's copy to another address.
function msg:rcptto(address)
  if address ~= nil then
    address = check_text("msg:rcptto", "address", address)
    raise_problem("msg:rcptto", outside.set_recipient(address))
    call.recipient = address
  end
  return call.recipient
end

-- Gets the sender, or changes it.
function msg:mailfrom(address)
  if address ~= nil then
    address = check_text("msg:mailfrom", "address", address)
    raise_problem("msg:mailfrom", outside.set_sender(address))
    call.sender = address
  end
  return call.sender
end

function msg:discard(reason)
  raise_problem("msg:discard", outside.discard(reason ~= nil and tostring(reason) or ""))
end

function msg:reception_peer(flag)
  return message.endpoint_part(call.peer, flag)
end

function msg:listener_addr(flag)
  return message.endpoint_part(call.listen, flag)
end

function msg:get_message_size()
  return outside.message_size()
end

function msg:raw()
  local answer = ask(outside.raw)
  raise_problem("msg:raw", answer[2])
  return answer[1], #answer[1]
end

local FROM, TO, COMPLETE = 1, 2, 4

function msg:get_envelope2(flags, localpart_string, domain_string)
  if not texts[localpart_string or false] then
    error("msg:get_envelope2: give strings of msys.core.string_new()", 2)
  end
  local address = band(flags, FROM) ~= 0 and call.sender or band(flags, TO) ~= 0 and call.recipient
  address = address or ""
  if band(flags, COMPLETE) ~= 0 then
    texts[localpart_string] = address
  else
    texts[localpart_string] = localpart(address)
    if texts[domain_string or false] then
      texts[domain_string] = domain(address)
    end
  end
end

function msg:code(number, text)
  if number ~= nil then
    set_code("msg:code", number, text)
  end
  return call.code, call.reply
end

-- Routes are the upstream's affair.

local function pass_over_route(method, read)
  return function(_, value)
    if value == nil then
      return read()
    end
    pass_over(method)
    return true
  end
end

local function read_nothing()
  return ""
end

msg.routing_domain = pass_over_route("msg:routing_domain", function()
  return domain(call.recipient) or ""
end)
msg.binding = pass_over_route("msg:binding", read_nothing)
msg.binding_group = pass_over_route("msg:binding_group", read_nothing)

local ESMTP = 2 -- Momentum's number of the protocol

message.msg = make_object("msg:", msg, {
  id = function() return outside.fact("id") end,
  recv_method = function() return ESMTP end,
}, { priority = true })

-- vctx

local vctx = contexts.methods({
  get = "get",
  set = "set",
  exists = "exists",
  both = "exists_and_get",
  delete = "delete",
})

function vctx:set_code(number, text)
  set_code("vctx:set_code", number, text)
end

function vctx:disconnect(number, text)
  set_code("vctx:disconnect", number, text)
end

function vctx:recipient_list(...)
  if select("#", ...) > 0 then
    error("vctx:recipient_list: recipients can be added, with vctx:add_recipient", 2)
  end
  return ask(outside.recipients)
end

-- Gives one more recipient a copy, or each of a table.
function vctx:add_recipient(address)
  for _, each in ipairs(type(address) == "table" and address or { address or false }) do
    each = check_text("vctx:add_recipient", "address", each)
    local problem = outside.add_recipient(each)
    if problem then
      error("vctx:add_recipient: " .. problem, 2)
    end
  end
end

function vctx:tarpit()
  pass_over("vctx:tarpit")
end

message.vctx = make_object("vctx:", vctx, {}, { disconnect = true })

-- accept

local accept = {}

function accept:esmtp_capability_add()
  pass_over("accept:esmtp_capability_add")
end

function accept:esmtp_capability_remove()
  pass_over("accept:esmtp_capability_remove")
end

message.accept = make_object("accept.", accept, {
  conn_id = function() return outside.fact("connection_id") end,
  local_addr = function() return call.listen end,
  protocol = function() return ESMTP end,
  remote_addr = function() return call.peer end,
}, {})

local methods = { accept = accept, msg = msg, vctx = vctx }

function message.has_method(object, name)
  return rawget(methods[object], name) ~= nil or string[name] ~= nil
end

message.constants = {
  EC_MSG_ENV_FROM = FROM,
  EC_MSG_ENV_TO = TO,
  EC_MSG_ENV_COMPLETE = COMPLETE,
  P_ESMTP = ESMTP,
  -- No mail comes by the others here. What counts of them is that they are different.
  P_ECSTREAM = -1,
  P_HTTP = -2,
  P_INTERNAL = -3,
  P_MM7 = -4,
  P_SMPP = -5,
}

return message
