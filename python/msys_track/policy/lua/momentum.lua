-- The part of Momentum's Lua that engagement policies use: `msys`, `msg`, `accept`, `vctx`.
--
-- A call that is not here raises an error that names it, at the policy's line. Changes are returned
-- with the answer, so a policy that fails sets nothing.

local compat, limits, json, contexts, outside = ...

local concat, ipairs = table.concat, ipairs
local error, format, getinfo = error, string.format, debug.getinfo
local gsub, match, sub = string.gsub, string.match, string.sub
local next, rawget, rawset = next, rawget, rawset
local select, setmetatable = select, setmetatable
local time, tonumber, tostring, type, xpcall = os.time, tonumber, tostring, type, xpcall
local band, pack, sort, unpack = compat.band, compat.pack, compat.sort, compat.unpack
local utf8_length = compat.utf8_length

local MESSAGE, CONNECTION = contexts.MESSAGE, contexts.CONNECTION
local MAX_LOG_LINES, MAX_LOG_TEXT = 20, 500
local MAX_REPLY = 400

local function close_object(name, members)
  return setmetatable(members, {
    __index = function(_, key)
      error(format("%s%s is not available here", name, tostring(key)), 2)
    end,
    __metatable = false,
  })
end

-- Logs.

local logged = 0

local function make_printable(text)
  text = sub(text, 1, 4 * MAX_LOG_TEXT)
  if not utf8_length(text) then
    text = gsub(text, "[\128-\255]", "?")
  end
  text = gsub(text, "%c", " ")
  if #text <= MAX_LOG_TEXT then
    return text
  end
  text = sub(text, 1, MAX_LOG_TEXT)
  return (utf8_length(text) and text or gsub(text, "[\128-\255]+$", "")) .. "…"
end

local function log(level, ...)
  logged = logged + 1
  if logged > MAX_LOG_LINES then
    return
  end
  local texts = pack(...)
  for i = 1, texts.n do
    texts[i] = tostring(texts[i])
  end
  outside.log(level, make_printable(concat(texts, " ", 1, texts.n)))
end

-- The current call.

local peer, listen, helo, user, sender, recipient
local code, reply

local function localpart(address)
  return address and match(address, "^(.*)@[^@]*$") or address
end

local function domain(address)
  return address and match(address, "@([^@]*)$") or address and ""
end

local function command(name, path)
  return path and format("%s:<%s>", name, path)
end

-- Variables that Momentum sets itself. A policy's own variable of the same name comes first.
contexts.predefined = {
  [MESSAGE] = {
    mailfrom_string = function() return command("MAIL FROM", sender) end,
    mailfrom_localpart = function() return localpart(sender) end,
    mailfrom_domain = function() return domain(sender) end,
    rcptto_string = function() return command("RCPT TO", recipient) end,
    rcptto_localpart = function() return localpart(recipient) end,
    rcptto_domain = function() return domain(recipient) end,
  },
  [CONNECTION] = {
    auth_user = function() return user end,
    ehlo_domain = function() return helo ~= "" and helo or nil end,
    ehlo_string = function() return helo ~= "" and "EHLO " .. helo or nil end,
    message_rcpt_count = function() return tostring(select("#", outside.recipients())) end,
  },
}

local CALLER = 3 -- the level of the policy's line, seen from a function that a method calls

-- Calls of Python: refused if memory is short, because Lua could not hold the answer.

local function ask(question, ...)
  if limits.is_full() then
    error("no memory is left for the answer", CALLER)
  end
  return { question(...) }
end

local COMPONENTS = { all = true, detail = true, domain = true, localpart = true, user = true }

local function check_component(method, component)
  component = component or "all"
  if not COMPONENTS[component] then
    error(format("%s: unknown component '%s'", method, tostring(component)), CALLER)
  end
  return component
end

local function check_text(method, what, value)
  if type(value) ~= "string" or not utf8_length(value) then
    error(format("%s: the %s must be a string", method, what), CALLER)
  end
  return value
end

local function endpoint_part(address, flag)
  local host, port = match(address, "^%[?(.-)%]?:(%d+)$")
  if flag == "ip" then
    return host or address
  elseif flag == "port" then
    return port or ""
  end
  return address
end

local function refuse_value(method, count)
  if count > 0 then
    error(method .. " with a value is not available here: mail is not changed by policy", CALLER)
  end
end

-- msg

local msg = contexts.methods({
  get = "context_get",
  set = "context_set",
  exists = "context_exists",
  both = "context_exists_and_get",
  delete = "context_delete",
})

function msg:header(name, ...)
  refuse_value("msg:header", select("#", ...))
  return ask(outside.header, check_text("msg:header", "name", name))
end

function msg:address_header(name, component)
  check_text("msg:address_header", "name", name)
  return ask(outside.address_header, name, check_component("msg:address_header", component))
end

function msg:rcptto(...)
  refuse_value("msg:rcptto", select("#", ...))
  return recipient
end

function msg:mailfrom(...)
  refuse_value("msg:mailfrom", select("#", ...))
  return sender
end

function msg:reception_peer(flag)
  return endpoint_part(peer, flag)
end

function msg:listener_addr(flag)
  return endpoint_part(listen, flag)
end

function msg:get_message_size()
  return outside.message_size()
end

local string_meta = {
  __tostring = function(held)
    return held.value
  end,
  __len = function(held)
    return #held.value
  end,
  __metatable = false,
}

local FROM, TO, COMPLETE = 1, 2, 4

function msg:get_envelope2(flags, localpart_string, domain_string)
  local address = band(flags, FROM) ~= 0 and sender or band(flags, TO) ~= 0 and recipient or ""
  if band(flags, COMPLETE) ~= 0 then
    localpart_string.value = address
  else
    localpart_string.value, domain_string.value = localpart(address), domain(address)
  end
end

-- vctx

local vctx = contexts.methods({
  get = "get",
  set = "set",
  exists = "exists",
  both = "exists_and_get",
  delete = "delete",
})

local function set_code(method, number, text)
  local value = tonumber(number)
  if not value or value % 1 ~= 0 or value < 200 or value > 599 then
    error(format("%s: found code %s, allowed: 200 to 599", method, tostring(number)), CALLER)
  end
  code = value
  text = text == nil and "" or tostring(text)
  reply = gsub(sub(text == "" and "Refused by policy" or text, 1, MAX_REPLY), "[^ -~]", "?")
end

function vctx:set_code(number, text)
  set_code("vctx:set_code", number, text)
end

function vctx:disconnect(number, text)
  set_code("vctx:disconnect", number, text)
end

function vctx:recipient_list(...)
  refuse_value("vctx:recipient_list", select("#", ...))
  return ask(outside.recipients)
end

close_object("vctx:", vctx)

function msg:code(number, text)
  if number ~= nil then
    set_code("msg:code", number, text)
  end
  return code, reply
end

close_object("msg:", msg)

-- accept

local accept = setmetatable({}, {
  __index = function(_, key)
    if key == "remote_addr" then
      return peer
    elseif key == "local_addr" then
      return listen
    end
    error(format("accept.%s is not available here", tostring(key)), 2)
  end,
  __metatable = false,
})

-- msys

local CONTINUE, DONE, AGAIN = 0, 1, 2

local core = close_object("msys.core.", {
  VALIDATE_CONT = CONTINUE,
  VALIDATE_DONE = DONE,
  VALIDATE_AGAIN = AGAIN,
  ECMESS_CTX_MESS = MESSAGE,
  ECMESS_CTX_CONN = CONNECTION,
  VCTX_MESS = MESSAGE,
  VCTX_CONN = CONNECTION,
  EC_MSG_ENV_FROM = FROM,
  EC_MSG_ENV_TO = TO,
  EC_MSG_ENV_COMPLETE = COMPLETE,
  LOG_CRIT = "critical",
  LOG_ERR = "error",
  DCRITICAL = "critical",
  DERROR = "error",
  get_now_ts = time,
  string_new = function()
    return setmetatable({ value = "" }, string_meta)
  end,
  ec_message_context_get = msg.context_get,
  ec_message_context_set = msg.context_set,
  ec_message_context_exists = msg.context_exists,
})

local LEVELS = { WARNING = "warning", NOTICE = "info", INFO = "info", DEBUG = "debug" }
for name, level in next, LEVELS do
  core["LOG_" .. name], core["D" .. name] = level, level
end

local MACRO_KINDS = { mess = MESSAGE, conn = CONNECTION }

local function expand_macro(text)
  text = check_text("msys.expandMacro", "text", text)
  return (gsub(text, "%%{([^{}]*)}", function(macro)
    local scope, name = match(macro, "^vctx_(%l+):(.+)$")
    local kind = MACRO_KINDS[scope]
    if not kind then
      error(format("msys.expandMacro: %%{%s} is not available here", macro), 0)
    end
    return contexts.value(kind, name) or ""
  end))
end

local function dump(value, indent)
  if type(value) ~= "table" then
    return type(value) == "string" and format("%q", value) or tostring(value)
  elseif #indent > 40 then
    return "{…}"
  end
  local lines, inner = {}, indent .. "  "
  for key, item in next, value do
    lines[#lines + 1] = inner .. "[" .. dump(key, inner) .. "] = " .. dump(item, inner) .. ","
  end
  sort(lines)
  return "{\n" .. concat(lines, "\n") .. "\n" .. indent .. "}"
end

local modules, is_loading = {}, true
local running -- the callback that is called

local function register(name, functions)
  if type(name) ~= "string" or type(functions) ~= "table" then
    error("msys.registerModule: expected a name and a table of functions", 2)
  elseif not is_loading then
    error("msys.registerModule: only while the file is read", 2)
  end
  modules[#modules + 1] = functions
end

local msys = close_object("msys.", {
  core = core,
  dumper = close_object("msys.dumper.", {
    Dumper = function(value)
      return dump(value, "")
    end,
  }),
  expandMacro = expand_macro,
  log = function(level, ...)
    log(type(level) == "string" and level or "info", ...)
  end,
  parseRFC2822Addresses = function(text, component)
    check_text("msys.parseRFC2822Addresses", "text", text)
    component = check_component("msys.parseRFC2822Addresses", component)
    return ask(outside.addresses, text, component)
  end,
  registerModule = register,
  -- There are no thread pools here: the work is done at once.
  runInPool = function(_, work)
    return limits.pcall(work)
  end,
})

-- A module of Momentum's that is missing here loads: policies often require more than they use.
local function find_module(name)
  if name == "json" then
    return json
  end
  local path = name == "msys" and "" or match(name, "^msys[./](.+)$")
  if not path then
    return nil
  end
  local place, full_name = msys, "msys."
  for part in string.gmatch(path, "[^./]+") do
    full_name = full_name .. part .. "."
    local inner = rawget(place, part)
    if inner == nil then
      inner = close_object(full_name, {})
      rawset(place, part, inner)
    elseif type(inner) ~= "table" then
      return nil
    end
    place = inner
  end
  return place
end

-- Hooks.

local ARGUMENTS = {
  validate_connect = function() return accept, vctx end,
  validate_ehlo = function() return "EHLO " .. helo, accept, vctx end,
  validate_auth = function() return user or "", accept, vctx end,
  validate_mailfrom = function() return command("MAIL FROM", sender or ""), accept, vctx end,
  validate_rcptto = function() return msg, command("RCPT TO", recipient or ""), accept, vctx end,
}

local function message_arguments()
  return msg, accept, vctx
end

-- Momentum's phase between DATA and the spool is called at the spool, before the spool's own hooks.
local PHASES = { validate_data_spool = { "validate_data", "validate_data_spool" } }

local ALLOWED = "return msys.core.VALIDATE_CONT or msys.core.VALIDATE_DONE"

local function is_last(callout, callback, flow)
  if flow == CONTINUE or flow == DONE then
    return flow == DONE
  end
  local info = getinfo(callback, "S")
  if flow == nil then
    outside.warn_returned_nothing(callout, sub(info.source, 2), info.linedefined)
    return false
  end
  local found = tostring(flow)
  if flow == AGAIN then
    found = "VALIDATE_AGAIN, for which nothing here waits"
  end
  local place = format("%s:%d", sub(info.source, 2), info.linedefined)
  error(format("%s: %s returned %s; %s", place, callout, found, ALLOWED), 0)
end

local function run_phase(callout)
  local arguments = ARGUMENTS[callout] or message_arguments
  for _, module in ipairs(modules) do
    local callback = module[callout]
    running = callback
    if callback and is_last(callout, callback, callback(module, arguments())) then
      return true
    end
  end
  return false
end

local hook

local function run_hook()
  local is_done
  for _, callout in ipairs(PHASES[hook] or { hook }) do
    is_done = run_phase(callout)
    if code and code >= 400 then
      return true
    end
  end
  return is_done
end

-- Failures: the innermost line of a policy, and the text without the place where C saw it.

local sources = {} -- chunk name to true

local function find_innermost_line()
  for level = 2, 60 do
    local info = getinfo(level, "Sl")
    if not info then
      return nil
    elseif sources[info.source] and info.currentline > 0 then
      return info.source, info.currentline
    end
  end
end

local function locate_error(problem)
  if type(problem) == "userdata" then
    return problem
  end
  local text = (type(problem) == "string" or type(problem) == "number") and tostring(problem)
  text = text or format("error object is a %s", type(problem))
  local chunk, line, rest = match(text, "^([^:]+):(%d+): (.*)$")
  if chunk and sources["=" .. chunk] then
    return { chunk, tonumber(line), rest }
  end
  local source, current = find_innermost_line()
  return { source and sub(source, 2), current, rest or text }
end

local function report_failure(problem)
  local chunk, line, text = nil, nil, tostring(problem)
  if type(problem) == "table" then
    chunk, line, text = problem[1], problem[2], problem[3]
  end
  if not chunk and running then -- its line is gone with a tail call, or the memory for it
    local info = getinfo(running, "S")
    chunk, line = sub(info.source, 2), info.linedefined
  end
  return false, chunk, line, make_printable(text)
end

local policy = { msys = msys, module = find_module }

function policy.print(...)
  log("info", ...)
end

-- Runs one hook at a time of the thread's clock. The remaining arguments are peer, listen, helo, user, sender and recipient; then
-- names and values of variables, the connection's first.
--
-- Returns true, code, reply, whether it was the last, then kind, name and value (false: deleted) of
-- each change; or false, chunk, line and text of the failure.
function policy.run(asked, thread_seconds, connection_count, ...)
  hook = asked
  peer, listen, helo, user, sender, recipient = ...
  contexts.begin(connection_count, { select(7, ...) })
  code, reply, logged, running = nil, nil, 0, nil
  limits.start(false, thread_seconds)
  local ok, result = xpcall(run_hook, locate_error)
  limits.stop()
  if ok then
    return true, code, reply, result, contexts.changes()
  end
  return report_failure(result)
end

-- Runs the main file. Returns true; or false, chunk, line and text of the failure.
function policy.load(main)
  limits.start(true, outside.thread_seconds())
  logged = 0
  local ok, problem = xpcall(function()
    main()
    for _, module in ipairs(modules) do
      if module.init and not module:init() then
        error("init returned false", 0)
      end
    end
  end, locate_error)
  limits.stop()
  is_loading = false
  if not ok then
    return report_failure(problem)
  end
  return true
end

function policy.name_source(chunk)
  sources["=" .. chunk] = true
end

-- Name, chunk and line of each function that was registered, one after the other.
function policy.functions()
  local list = {}
  for _, module in ipairs(modules) do
    for name, value in next, module do
      if type(name) == "string" and type(value) == "function" then
        local info, n = getinfo(value, "S"), #list
        list[n + 1], list[n + 2], list[n + 3] = name, sub(info.source, 2), info.linedefined
      end
    end
  end
  return unpack(list)
end

return policy
