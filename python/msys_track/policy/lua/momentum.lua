-- The part of Momentum's Lua that engagement policies use: `msys`, and the hooks of its modules.
--
-- A call that is not here raises an error that names it, at the policy's line. Changes are returned
-- with the answer, so a policy that fails sets nothing.

local compat, limits, json, contexts, outside, message, pcre, editor = ...

local concat, ipairs = table.concat, ipairs
local error, format, getinfo = error, string.format, debug.getinfo
local find, gsub, match, sub = string.find, string.gsub, string.match, string.sub
local next, rawget, rawset = next, rawget, rawset
local select, setmetatable = select, setmetatable
local time, tostring, type, xpcall = os.time, tostring, type, xpcall
local pack, sort, unpack, utf8_length = compat.pack, compat.sort, compat.unpack, compat.utf8_length
local ask, call, command = message.ask, message.call, message.command
local check_component, check_text = message.check_component, message.check_text
local accept, msg, vctx = message.accept, message.msg, message.vctx

local MESSAGE, CONNECTION = contexts.MESSAGE, contexts.CONNECTION
local MAX_LOG_LINES, MAX_LOG_TEXT = 20, 500
local MAX_SESSIONS = 300 -- connections whose `self` is kept

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

-- Returns at most so many bytes of a text, and no part of a character of UTF-8.
local function cut(text, size)
  while size > 0 and find(text, "^[\128-\191]", size + 1) do
    size = size - 1
  end
  return sub(text, 1, size)
end

local function make_printable(text)
  text = cut(text, 4 * MAX_LOG_TEXT)
  if not utf8_length(text) then
    text = gsub(text, "[\128-\255]", "?")
  end
  text = gsub(text, "%c", " ")
  if #text <= MAX_LOG_TEXT then
    return text
  end
  return cut(text, MAX_LOG_TEXT) .. "…"
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
  AF_INET = 2,
  AF_INET6 = 10,
  LOG_CRIT = "critical",
  LOG_ERR = "error",
  DCRITICAL = "critical",
  DERROR = "error",
  get_now_ts = time,
  string_new = message.new_string,
  accept_construct_get_message_construct = function()
    return { message = msg, ctx = vctx }
  end,
  ec_sockaddr_family = function(address)
    return find(tostring(address), ":.*:") and 10 or 2
  end,
  -- Scripts often make a message that they send in few cases only: so it fails where it is used.
  ec_message_new = function()
    return close_object("msys.core.ec_message_new():", {})
  end,
  ec_message_context_get = msg.context_get,
  ec_message_context_set = msg.context_set,
  ec_message_context_exists = msg.context_exists,
})

local LEVELS = { WARNING = "warning", NOTICE = "info", INFO = "info", DEBUG = "debug" }
for name, level in next, LEVELS do
  core["LOG_" .. name], core["D" .. name] = level, level
end

for name, value in next, message.constants do
  core[name] = value
end

-- The macros of SPF (RFC 7208 section 7.2) that are known here.
local SPF_MACROS = {
  d = function() return message.domain(call.sender) end,
  h = function() return call.helo end,
  i = function() return message.endpoint_part(call.peer, "ip") end,
  l = function() return message.localpart(call.sender) end,
  o = function() return message.domain(call.sender) end,
  s = function() return call.sender end,
}

local MACRO_KINDS = { mess = MESSAGE, conn = CONNECTION }

local function expand_macro(text)
  text = check_text("msys.expandMacro", "text", text)
  return (gsub(text, "%%{([^{}]*)}", function(macro)
    local scope, name = match(macro, "^vctx_(%l+):(.+)$")
    local kind = MACRO_KINDS[scope]
    local spf = SPF_MACROS[match(macro, "^spfv1:(%l)$") or macro]
    if spf then
      return spf() or ""
    elseif not kind then
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

-- One policy's Lua runs one hook at a time, so there is nothing to lock.
local function do_nothing() end

local mutex = { lock = do_nothing, unlock = do_nothing, trylock = function() return true end }

local thread = close_object("thread.", {
  MUTEX_NORMAL = 0,
  MUTEX_RECURSIVE = 1,
  MUTEX_ERRORCHECK = 2,
  mutex = function()
    return setmetatable({}, { __index = mutex })
  end,
})

-- There are no thread pools here: the work is done at once, and then what completes it. Who does not
-- wait for the work is told nothing of it, as in Momentum; a failure of it is logged.
local function run_in_pool(_, work, completion)
  if not completion then
    return limits.pcall(work)
  end
  local ok, problem = limits.pcall(work)
  if not ok then
    log("warning", "msys.runInPool:", problem)
  elseif type(completion) == "function" then
    completion()
  end
end

local msys = close_object("msys.", {
  adaptive = close_object("msys.adaptive.", {
    registerRules = function()
      message.pass_over("msys.adaptive.registerRules")
    end,
  }),
  core = core,
  dumper = close_object("msys.dumper.", {
    Dumper = function(value)
      return dump(value, "")
    end,
  }),
  expandMacro = expand_macro,
  lock = do_nothing,
  unlock = do_nothing,
  pcre = close_object("msys.pcre.", pcre),
  policyeditor = close_object("msys.policyeditor.", editor),
  http_lua = close_object("msys.http_lua.", {
    registerModule = function()
      message.pass_over("msys.http_lua.registerModule")
    end,
  }),
  log = function(level, ...)
    log(type(level) == "string" and level or "info", ...)
  end,
  parseRFC2822Addresses = function(text, component)
    text = check_text("msys.parseRFC2822Addresses", "text", text)
    component = check_component("msys.parseRFC2822Addresses", component)
    return ask(outside.addresses, text, component)
  end,
  registerModule = register,
  runInPool = run_in_pool,
})

-- A module of Momentum's that is missing here loads: policies often require more than they use.
local function find_module(name)
  if name == "json" then
    return json
  elseif name == "thread" then
    return thread
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
  validate_ehlo = function() return "EHLO " .. call.helo, accept, vctx end,
  validate_auth = function() return call.user or "", accept, vctx end,
  validate_mailfrom = function()
    return command("MAIL FROM", call.sender or ""), accept, vctx
  end,
  validate_rcptto = function()
    return msg, command("RCPT TO", call.recipient or ""), accept, vctx
  end,
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

-- What a callout is given as `self`: a table of the connection, which begins as the module.

local sessions, session_keys, next_session = {}, {}, 1

local function find_self(connection, module)
  local session = sessions[connection]
  if not session then
    local oldest = session_keys[next_session]
    if oldest then
      sessions[oldest] = nil
    end
    session = {}
    sessions[connection], session_keys[next_session] = session, connection
    next_session = next_session % MAX_SESSIONS + 1
  end
  local self = session[module]
  if not self then
    self = setmetatable({}, { __index = module })
    session[module] = self
  end
  return self
end

local connection

local function run_phase(callout)
  local arguments = ARGUMENTS[callout] or message_arguments
  for _, module in ipairs(modules) do
    local callback = module[callout]
    running = callback
    if callback then
      local flow = callback(find_self(connection, module), arguments())
      if is_last(callout, callback, flow) then
        return true
      end
    end
  end
  return false
end

local hook

local function run_hook()
  local is_done
  for _, callout in ipairs(PHASES[hook] or { hook }) do
    is_done = run_phase(callout)
    if call.code and call.code >= 400 then
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

-- What a policy finds among its globals besides Lua's own.
policy.globals = { json = json, msys = msys, thread = thread, _OSTLS = {}, _TLS = {} }

function policy.print(...)
  log("info", ...)
end

-- Runs one hook at a time of the thread's clock. `connected` names the connection. The remaining
-- arguments are peer, listen, helo, user, sender and recipient; then names and values of variables,
-- the connection's first.
--
-- Returns true, code, reply, whether it was the last, then kind, name and value (false: deleted) of
-- each change; or false, chunk, line and text of the failure.
function policy.run(asked, thread_seconds, connected, connection_count, ...)
  hook, connection = asked, connected
  call.peer, call.listen, call.helo, call.user, call.sender, call.recipient = ...
  contexts.begin(connection_count, { select(7, ...) })
  call.code, call.reply, logged, running = nil, nil, 0, nil
  limits.start(false, thread_seconds)
  local ok, result = xpcall(run_hook, locate_error)
  limits.stop()
  if ok then
    return true, call.code, call.reply, result, contexts.changes()
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

-- Whether there is a function, as `msys.log` or `msg:header`.
function policy.has(name)
  local object, method = match(name, "^(%a+):(.+)$")
  if object then
    return message.has_method(object, method)
  end
  local place = msys
  for part in string.gmatch(sub(name, 6), "[^.]+") do
    place = rawget(place, part)
    if type(place) ~= "table" then
      return place ~= nil
    end
  end
  return true
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
