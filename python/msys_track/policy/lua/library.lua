-- The library of a policy: Lua's own, without functions that reach outside or never end, and with
-- those that only Momentum's Lua, a 5.1, has.

local limits, patterns, is_sandboxed = ...

local format, rep, type = string.format, string.rep, type
local error, getmetatable, rawlen = error, getmetatable, rawlen
local concat, pack, sort, unpack = table.concat, table.pack, table.sort, table.unpack
local setmetatable, tostring = setmetatable, tostring

local MAX_ITEMS = 100000 -- of a list that C works through in one go
local MAX_DATE = 200
local MAX_AT_ONCE = 65536 -- bytes that are made before the clock is looked at

if not is_sandboxed then
  python, package.loaded.python = nil, nil
  return setmetatable({ unpack = unpack, loadstring = load }, { __index = _G })
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
string.dump, string.pack, string.packsize, string.unpack = nil, nil, nil, nil

function string.rep(text, times, separator)
  if text == "" and (separator or "") == "" then
    return "" -- C would count to any number
  end
  if type(text) == "string" and type(times) == "number" and #text * times > MAX_AT_ONCE then
    limits.look()
  end
  return rep(text, times, separator)
end

getmetatable("").__metatable = false

local library_table = { pack = pack, unpack = unpack, getn = rawlen }

function library_table.concat(list, separator, first, last)
  check_length(list, "concat")
  if first and last and last - first > MAX_ITEMS then
    error(format("concat: more than %d items", MAX_ITEMS), 2)
  end
  return concat(list, separator, first, last)
end

function library_table.sort(list, is_less)
  check_length(list, "sort")
  return sort(list, is_less)
end

-- Written in Lua, because C would trust a length that a metatable invents.
function library_table.insert(list, position, ...)
  check_length(list, "insert")
  if select("#", ...) == 0 then
    list[#list + 1] = position
    return
  end
  if position < 1 or position > #list + 1 then
    error("bad argument #2 to 'insert' (position out of bounds)", 2)
  end
  for i = #list, position, -1 do
    list[i + 1] = list[i]
  end
  list[position] = (...)
end

function library_table.remove(list, position)
  check_length(list, "remove")
  local length = #list
  position = position or length
  if length > 0 and (position < 1 or position > length + 1) then
    error("bad argument #2 to 'remove' (position out of bounds)", 2)
  end
  local removed = list[position]
  for i = position, length do
    list[i] = list[i + 1]
  end
  return removed
end

local library_math = { pow = function(x, y) return x ^ y end }
for name, value in next, math do
  library_math[name] = value
end

-- A format of a million fields would be a million calls in one.
local native_date = os.date
local function library_date(template, ...)
  if type(template) == "string" and #template > MAX_DATE then
    error(format("date: a format longer than %d characters", MAX_DATE), 2)
  end
  return native_date(template, ...)
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
  math = library_math,
  pcall = limits.pcall,
  setmetatable = limits.setmetatable,
  string = string,
  table = library_table,
  unpack = unpack,
  xpcall = limits.xpcall,
  -- Policies use it for the time of day. Nothing here reaches outside.
  os = close_library("os", {
    clock = os.clock,
    date = library_date,
    difftime = os.difftime,
    time = os.time,
  }),
}
environment._G = environment

local OPEN = "assert error getmetatable ipairs next pairs rawequal rawget rawlen rawset select"
  .. " tonumber tostring type"
for name in string.gmatch(OPEN, "%a+") do
  environment[name] = _G[name]
end
for name in string.gmatch("coroutine debug io package utf8", "%w+") do
  environment[name] = close_library(name, {})
end
local CLOSED = "collectgarbage dofile getfenv load loadfile loadstring module setfenv"
for name in string.gmatch(CLOSED, "%a+") do
  environment[name] = function()
    error(name .. " is not available in the sandbox", 2)
  end
end
return environment
