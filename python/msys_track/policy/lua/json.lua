-- Momentum's `json` module, with which policies read and write metadata and tags.
--
-- A decoded value is a table that prints as JSON. A table with a value at 1 is an array, else an
-- object (Momentum's rule). A decoded array stays one when it is empty. null becomes nil.

local compat = ...

local byte, find, format = string.byte, string.find, string.format
local gsub, sub = string.gsub, string.sub
local concat, tonumber, tostring, type = table.concat, tonumber, tostring, type
local error, ipairs, next, pcall = error, ipairs, next, pcall
local getmetatable = debug.getmetatable -- sees what a policy must not change
local setmetatable, sort = setmetatable, compat.sort
local utf8_char, utf8_length = compat.utf8_char, compat.utf8_length
local huge = math.huge

local MAX_DEPTH = 64

local json = {}
local object_meta = { __metatable = false }
local array_meta = { __metatable = false }
local scalar_meta = { __metatable = false }

-- Writing.

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(c)
  return ESCAPES[c] or format("\\u%04x", byte(c))
end

local function write_string(text)
  if not utf8_length(text) then
    error("json: a string is not valid UTF-8", 0)
  end
  return '"' .. gsub(text, '[%c"\\]', escape) .. '"'
end

local function write_number(value)
  if value ~= value or value == huge or value == -huge then
    error("json: a number is not finite", 0)
  elseif value % 1 == 0 and value > -1e15 and value < 1e15 then
    return format("%.0f", value)
  end
  local text = format("%.14g", value)
  return tonumber(text) == value and text or format("%.17g", value)
end

local function write(value, depth)
  local kind = type(value)
  if kind == "string" then
    return write_string(value)
  elseif kind == "number" then
    return write_number(value)
  elseif kind == "boolean" or kind == "nil" then
    return value == nil and "null" or tostring(value)
  elseif kind ~= "table" then
    error(format("json: a %s can't be written", kind), 0)
  elseif depth >= MAX_DEPTH then
    error(format("json: nested deeper than %d levels", MAX_DEPTH), 0)
  end
  local meta = getmetatable(value)
  if meta == scalar_meta then
    return write(value.scalar, depth)
  end
  local parts, names = {}, {}
  if meta == array_meta or value[1] ~= nil then
    for i, item in ipairs(value) do
      parts[i] = write(item, depth + 1)
    end
    return "[" .. concat(parts, ",") .. "]"
  end
  for key, member in next, value do
    local name = tostring(key)
    names[#names + 1], parts[name] = name, member
  end
  sort(names)
  for i, name in ipairs(names) do
    names[i] = write_string(name) .. ":" .. write(parts[name], depth + 1)
  end
  return "{" .. concat(names, ",") .. "}"
end

local function write_all(value)
  return write(value, 0)
end

-- Lua calls what stands after `in` for each step: a value can be walked without `pairs`.
local function step_to_next(value, _, key)
  return next(value, key)
end

object_meta.__call, array_meta.__call = step_to_next, step_to_next
for _, meta in ipairs({ object_meta, array_meta, scalar_meta }) do
  meta.__tostring = write_all
end

-- Reading.

local read

local function fault(at, what)
  error({ at = at, what = what }, 0)
end

local function after_space(text, at)
  local _, last = find(text, "^[ \t\r\n]*", at)
  return last + 1
end

local UNESCAPES = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function read_code_unit(text, at)
  local _, _, digits = find(text, "^\\u(%x%x%x%x)", at)
  return digits and tonumber(digits, 16)
end

local function read_escape(text, at)
  local plain = UNESCAPES[sub(text, at + 1, at + 1)]
  if plain then
    return plain, at + 2
  end
  local code = read_code_unit(text, at)
  if not code then
    fault(at, "invalid escape")
  elseif code < 0xD800 or code > 0xDFFF then
    return utf8_char(code), at + 6
  end
  local low = read_code_unit(text, at + 6)
  if code > 0xDBFF or not low or low < 0xDC00 or low > 0xDFFF then
    fault(at, "half of a surrogate pair")
  end
  return utf8_char(0x10000 + (code - 0xD800) * 0x400 + low - 0xDC00), at + 12
end

local function read_string(text, at)
  local pieces, start = {}, at + 1
  while true do
    local stop = find(text, '["\\%c]', start)
    if not stop then
      fault(at, "unterminated string")
    end
    pieces[#pieces + 1] = sub(text, start, stop - 1)
    local c = sub(text, stop, stop)
    if c == '"' then
      return concat(pieces), stop + 1
    elseif c == "\\" then
      pieces[#pieces + 1], start = read_escape(text, stop)
    elseif c == "\127" then
      pieces[#pieces + 1], start = c, stop + 1
    else
      fault(stop, "control character in a string")
    end
  end
end

local function read_number(text, at)
  local _, last = find(text, "^-?%d+", at)
  if not last or find(text, "^-?0%d", at) then
    fault(at, "expected a value")
  end
  local _, fraction = find(text, "^%.%d+", last + 1)
  last = fraction or last
  local _, exponent = find(text, "^[eE][+-]?%d+", last + 1)
  last = exponent or last
  local value = tonumber(sub(text, at, last))
  if value == huge or value == -huge then
    fault(at, "number out of range")
  end
  return value, last + 1
end

-- Reads items, separated by commas, until the closing bracket. `read_item` returns where one ends.
local function read_items(text, at, close, read_item)
  at = after_space(text, at + 1)
  if sub(text, at, at) == close then
    return at + 1
  end
  while true do
    at = read_item(at)
    local c = sub(text, at, at)
    if c == close then
      return at + 1
    elseif c ~= "," then
      fault(at, format("expected ',' or '%s'", close))
    end
    at = at + 1
  end
end

local function read_array(text, at, depth)
  local list, length = setmetatable({}, array_meta), 0
  return list, read_items(text, at, "]", function(start)
    length = length + 1
    list[length], start = read(text, start, depth)
    return start
  end)
end

local function read_object(text, at, depth)
  local object = setmetatable({}, object_meta)
  return object, read_items(text, at, "}", function(start)
    start = after_space(text, start)
    if sub(text, start, start) ~= '"' then
      fault(start, "expected a key")
    end
    local key, stop = read_string(text, start)
    stop = after_space(text, stop)
    if sub(text, stop, stop) ~= ":" then
      fault(stop, "expected ':'")
    end
    object[key], stop = read(text, stop + 1, depth)
    return stop
  end)
end

local LITERALS = { t = { "true", true }, f = { "false", false }, n = { "null", nil } }

function read(text, at, depth)
  at = after_space(text, at)
  local c = sub(text, at, at)
  local literal, value = LITERALS[c], nil
  if (c == "{" or c == "[") and depth >= MAX_DEPTH then
    fault(at, format("nested deeper than %d levels", MAX_DEPTH))
  elseif c == "{" then
    value, at = read_object(text, at, depth + 1)
  elseif c == "[" then
    value, at = read_array(text, at, depth + 1)
  elseif c == '"' then
    value, at = read_string(text, at)
  elseif literal and sub(text, at, at + #literal[1] - 1) == literal[1] then
    value, at = literal[2], at + #literal[1]
  else
    value, at = read_number(text, at)
  end
  return value, after_space(text, at)
end

local function read_all(text)
  local value, at = read(text, 1, 0)
  if at <= #text then
    fault(at, "extra data")
  end
  return value
end

-- Returns the value; or nil, a code and why it is not JSON.
function json.decode(text)
  if type(text) ~= "string" then
    error(format("json.decode: expected a string, found %s", type(text)), 2)
  end
  local ok, value = pcall(read_all, text)
  if ok then
    return value
  elseif type(value) ~= "table" then
    error(value, 0)
  end
  return nil, 1, format("%s at character %d", value.what, value.at)
end

-- Returns a value that can be assigned into decoded JSON and prints as JSON.
function json.encode(value)
  write_all(value) -- raises a fault here, not where the value is printed
  if type(value) ~= "table" then
    return setmetatable({ scalar = value }, scalar_meta)
  end
  if getmetatable(value) == nil then
    setmetatable(value, value[1] ~= nil and array_meta or object_meta)
  end
  return value
end

function json.new()
  return setmetatable({}, object_meta)
end

function json.strerror(code)
  return code == 1 and "not JSON" or "success"
end

-- Returns whether a value was made here; then tostring returns its JSON.
function json.is_json(value)
  local meta = type(value) == "table" and getmetatable(value)
  return meta == object_meta or meta == array_meta or meta == scalar_meta
end

return json
