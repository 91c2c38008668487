-- Where a policy's code comes from and where it finds its globals: `require`, `module`, `loadstring`,
-- `getfenv` and what belongs to them.
--
-- A policy's globals are a table of ours. The pieces have the state's own, with which the sandbox
-- could be left: it is never handed out, and no function that has it gets another.

local compat, limits, policy, environment, outside, is_sandboxed = ...

local byte, concat, format = string.byte, table.concat, string.format
local gmatch, match, utf8_length = string.gmatch, string.match, compat.utf8_length
local error, getmetatable, ipairs = error, getmetatable, ipairs
local rawget, rawset, setmetatable, type = rawget, rawset, setmetatable, type
local getinfo, native_getfenv, native_loadstring = debug.getinfo, getfenv, loadstring
local native_require, native_setfenv, ours = require, setfenv, _G

local BINARY = 27 -- the first byte of compiled code, which can do anything
local MAX_SOURCE = 65536 -- bytes that a policy compiles at once: C does it without a look at the clock

local function compile_text(source, name)
  if byte(source) == BINARY then
    return nil, "compiled code is not available"
  end
  local main, problem = native_loadstring(source, name)
  if main then
    native_setfenv(main, environment)
  end
  return main, problem
end

-- Code that a policy makes.

function environment.loadstring(source, name)
  if type(source) ~= "string" then
    error("loadstring: expected a string, found " .. type(source), 2)
  elseif #source > MAX_SOURCE then
    return nil, format("loadstring: more than %d bytes", MAX_SOURCE)
  elseif byte(source) == BINARY then
    return nil, "compiled code is not available"
  end
  limits.look()
  if not utf8_length(source) then
    return nil, "loadstring: the source is not valid UTF-8"
  elseif limits.is_full() then
    error("no memory is left for the answer", 2)
  end
  local translated, problem = outside.translate(source)
  if not translated then
    return nil, problem
  end
  return compile_text(translated, type(name) == "string" and name or source)
end

-- The pieces are joined first: C would collect the name of the code while a function is asked for it.
function environment.load(next_piece, name)
  local pieces, size = {}, 0
  while true do
    local piece = next_piece()
    if piece == nil or piece == "" then
      break
    elseif type(piece) ~= "string" then
      return nil, "reader function must return a string"
    end
    pieces[#pieces + 1], size = piece, size + #piece
    if size > MAX_SOURCE then
      break
    end
  end
  return environment.loadstring(concat(pieces), name or "=(load)")
end

-- Globals of a function.

-- Returns the function at a level, seen from the policy's line that called one of these functions;
-- nil after a tail call, which leaves no function there.
local function function_at(name, target)
  if type(target) == "function" then
    return target
  elseif type(target) ~= "number" then
    error(format("%s: expected a function or a level", name), 3)
  end
  local info = target >= 1 and getinfo(target + 2, "f")
  if not info then
    error(format("%s: there is no level %d", name, target), 3)
  end
  return info.func
end

function environment.getfenv(target)
  if target == 0 then
    return environment
  end
  local found = function_at("getfenv", target or 1)
  local globals = found and native_getfenv(found)
  return globals ~= nil and globals ~= ours and globals or environment
end

function environment.setfenv(target, globals)
  if type(globals) ~= "table" then
    error("setfenv: expected a table", 2)
  elseif target == 0 then
    error("setfenv: level 0 is not available here", 2)
  end
  local found = function_at("setfenv", target)
  if found and native_getfenv(found) == ours then
    error("setfenv: this function keeps its environment", 2)
  elseif found then
    native_setfenv(found, globals)
  end
  return found
end

-- Modules.

local loaded, preload = {}, {}
for name in gmatch("_G debug io math os package string table", "[%a_]+") do
  loaded[name] = environment[name]
end

local function see_all(module)
  local metatable = getmetatable(module)
  if metatable == nil then
    metatable = {}
    setmetatable(module, metatable)
  end
  metatable.__index = environment
end

if is_sandboxed then
  local package = environment.package
  rawset(package, "loaded", loaded)
  rawset(package, "preload", preload)
  rawset(package, "seeall", see_all)
else
  environment.package = setmetatable({ seeall = see_all }, { __index = package })
end

-- Finds or makes the table that a dotted name says, among the policy's globals.
local function find_table(name)
  local place = environment
  for part in gmatch(name, "[^.]+") do
    local inner = rawget(place, part)
    if inner == nil then
      inner = {}
      rawset(place, part, inner)
    elseif type(inner) ~= "table" then
      return nil
    end
    place = inner
  end
  return place
end

function environment.module(name, ...)
  if type(name) ~= "string" then
    error("module: expected a module's name", 2)
  end
  local caller = getinfo(2, "f").func
  if not caller or native_getfenv(caller) == ours then
    error("module: call it from a file's own lines", 2)
  end
  local found = loaded[name]
  if type(found) ~= "table" then
    found = find_table(name)
    if not found then
      error(format("module: '%s' is the name of something else", name), 2)
    end
    loaded[name] = found
  end
  if rawget(found, "_NAME") == nil then
    found._M, found._NAME, found._PACKAGE = found, name, match(name, "^(.*%.)") or ""
  end
  native_setfenv(caller, found)
  for _, option in ipairs({ ... }) do
    option(found)
  end
end

local function compile(source, chunk)
  policy.name_source(chunk)
  local main, problem = compile_text(source, "=" .. chunk)
  if not main then
    error(problem, 0)
  end
  return main
end

local function find_loader(name)
  local loader = preload[name]
  if loader then
    return loader
  end
  local module = policy.module(name)
  if module then
    return function() return module end
  end
  local source, chunk = outside.source(name)
  if source then
    return compile(source, chunk)
  elseif not is_sandboxed then
    return native_require
  end
  return nil, chunk
end

function environment.require(name)
  if type(name) ~= "string" then
    error("require: expected a module's name", 2)
  elseif loaded[name] ~= nil then
    return loaded[name]
  end
  local loader, problem = find_loader(name)
  if not loader then
    error(format("require: no module '%s': %s", name, problem), 2)
  end
  loaded[name] = true -- for circles, and for modules that return nothing
  local found = loader(name)
  if found ~= nil then
    loaded[name] = found
  end
  return loaded[name]
end

return compile
