-- The library of a policy: Lua's own, without functions that reach outside, that never end, or with
-- which a mistake ends the process.

local compat, limits, patterns, policy, is_sandboxed = ...

local error, floor, format, rep, type = error, math.floor, string.format, string.rep, type
local concat, insert, remove, select = table.concat, table.insert, table.remove, select
local setmetatable, tonumber, tostring = setmetatable, tonumber, tostring
local getinfo, native_date = debug.getinfo, os.date

local MAX_ITEMS = 100000 -- of a list that C works through in one go
local MAX_DATE = 200
local MAX_BLOCK = 4096
local MAX_AT_ONCE = 65536 -- bytes that are made before the clock is looked at
local MAX_WHOLE = 2 ^ 31 - 1 -- beyond it C counts from below

if not is_sandboxed then
  python, package.loaded.python = nil, nil
  return setmetatable({
    print = policy.print,
    unpack = compat.unpack,
    _bits_and = compat.band,
    _bits_or = compat.bor,
  }, { __index = _G })
end

local function check_length(list, name)
  if type(list) ~= "table" then
    error(format("bad argument #1 to '%s' (table expected, got %s)", name, type(list)), 3)
  elseif #list > MAX_ITEMS then
    error(format("%s: more than %d items", name, MAX_ITEMS), 3)
  end
end

-- The string library is changed in place: methods of strings find it through their metatable.

local string = string
string.find, string.match = patterns.find, patterns.match
string.gmatch, string.gfind, string.gsub = patterns.gmatch, patterns.gmatch, patterns.gsub
string.dump = nil

-- C adds one text after the other, which is slow for short ones.
local function repeat_blocks(text, count)
  local in_block = floor(MAX_BLOCK / #tostring(text))
  if in_block < 2 then
    return rep(text, count)
  end
  count = floor(count)
  local blocks = floor(count / in_block)
  return rep(rep(text, in_block), blocks) .. rep(text, count - blocks * in_block)
end

function string.rep(text, times)
  if text == "" then
    return "" -- C would count to any number
  end
  local count = tonumber(times)
  if (type(text) == "string" or type(text) == "number") and count then
    local size = #tostring(text) * count
    if size > MAX_WHOLE then
      error("rep: the text is too long", 2)
    elseif size > MAX_AT_ONCE then
      limits.look()
      return repeat_blocks(text, count)
    end
  end
  return rep(text, times)
end

getmetatable("").__metatable = false

local library_table = { unpack = compat.unpack }
for name, value in next, table do
  library_table[name] = value
end

function library_table.concat(list, ...)
  check_length(list, "concat")
  return concat(list, ...)
end

function library_table.sort(list, is_less)
  check_length(list, "sort")
  return compat.sort(list, is_less)
end

-- C would count from the end to any position below the first.
function library_table.insert(list, position, ...)
  check_length(list, "insert")
  if select("#", ...) == 0 then
    return insert(list, position)
  end
  local at = tonumber(position)
  if at and not (at >= 1 and at <= MAX_WHOLE) then
    error("bad argument #2 to 'insert' (position out of bounds)", 2)
  end
  return insert(list, position, ...)
end

function library_table.remove(list, ...)
  check_length(list, "remove")
  return remove(list, ...)
end

local library_math = {}
for name, value in next, math do
  library_math[name] = value
end
library_math.mod = math.fmod

-- A format of a million fields would be a million calls in one.
local function library_date(template, ...)
  if type(template) == "string" and #template > MAX_DATE then
    error(format("date: a format longer than %d characters", MAX_DATE), 2)
  end
  return native_date(template, ...)
end

-- What a policy may know of a function: its place, not itself, which may be one of ours.
local function library_getinfo(target)
  local info = getinfo(type(target) == "number" and target + 1 or target, "nSl")
  return info
end

local function close_library(name, functions)
  return setmetatable(functions, {
    __index = function(_, key)
      error(format("%s.%s is not available in the sandbox", name, tostring(key)), 2)
    end,
    __metatable = false,
  })
end

local environment = {
  _VERSION = _VERSION,
  _bits_and = compat.band,
  _bits_or = compat.bor,
  math = library_math,
  pcall = limits.pcall,
  print = policy.print,
  string = string,
  table = library_table,
  unpack = compat.unpack,
  xpcall = limits.xpcall,
  coroutine = close_library("coroutine", {}),
  debug = close_library("debug", {
    getinfo = library_getinfo,
    output = policy.print,
    traceback = debug.traceback,
  }),
  io = close_library("io", {}),
  -- Policies use it for the time of day. Nothing here reaches outside.
  os = close_library("os", {
    clock = os.clock,
    date = library_date,
    difftime = os.difftime,
    time = os.time,
  }),
  package = close_library("package", { path = "./?.lua", cpath = "" }),
}
environment._G = environment

local OPEN = "assert error getmetatable ipairs next pairs rawequal rawget rawset select setmetatable"
  .. " tonumber tostring type"
for name in string.gmatch(OPEN, "%a+") do
  environment[name] = _G[name]
end
for name in string.gmatch("collectgarbage dofile gcinfo loadfile newproxy", "%a+") do
  environment[name] = function()
    error(name .. " is not available in the sandbox", 2)
  end
end
return environment
