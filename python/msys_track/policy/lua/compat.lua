-- What Lua 5.1 lacks and the pieces need. Each function is a local of every piece that uses it.

local char, find, format, gsub = string.char, string.find, string.format, string.gsub
local reverse, sub, concat, sort = string.reverse, string.sub, table.concat, table.sort
local error, select, type = error, select, type
local floor, native_unpack = math.floor, unpack

local MAX_RESULTS = 7000 -- of one call; C has room for 8000 values
local MAX_SORTED = 100 -- items that C sorts; its time is quadratic for an unlucky order
local WORD = 2 ^ 32

local compat = {}

function compat.pack(...)
  return { n = select("#", ...), ... }
end

-- C trusts a range that overflows, and ends the process.
function compat.unpack(list, first, last)
  first, last = first or 1, last or #list
  if not (last - first < MAX_RESULTS) then
    error(format("unpack: more than %d results", MAX_RESULTS), 2)
  end
  return native_unpack(list, first, last)
end

function compat.rawlen(list)
  return #list -- 5.1 asks no metatable for a table's length
end

-- Returns a number without a fraction as it is, of any other value nil.
function compat.tointeger(value)
  return type(value) == "number" and value % 1 == 0 and value or nil
end

-- Combines the bits of two whole numbers that fit into 32.
local function combine_bits(a, b, is_set)
  a, b = floor(a) % WORD, floor(b) % WORD
  local result, bit = 0, 1
  while a > 0 or b > 0 do
    local low_a, low_b = a % 2, b % 2
    if is_set(low_a + low_b) then
      result = result + bit
    end
    a, b, bit = (a - low_a) / 2, (b - low_b) / 2, bit * 2
  end
  return result
end

local function fold_bits(is_set, first, ...)
  for i = 1, select("#", ...) do
    first = combine_bits(first, (select(i, ...)), is_set)
  end
  return first
end

function compat.band(...)
  return fold_bits(function(count) return count == 2 end, ...)
end

function compat.bor(...)
  return fold_bits(function(count) return count > 0 end, ...)
end

-- The sequences of RFC 3629 by their length, without surrogates and what is too long.
local SEQUENCES = {
  "[\194-\223][\128-\191]",
  "\224[\160-\191][\128-\191]",
  "[\225-\236\238\239][\128-\191][\128-\191]",
  "\237[\128-\159][\128-\191]",
  "\240[\144-\191][\128-\191][\128-\191]",
  "[\241-\243][\128-\191][\128-\191][\128-\191]",
  "\244[\128-\143][\128-\191][\128-\191]",
}

-- Returns the number of characters of UTF-8; of other bytes nil.
function compat.utf8_length(text)
  for i = 1, #SEQUENCES do
    if not find(text, "[\128-\255]") then
      return #text
    end
    text = gsub(text, SEQUENCES[i], "_")
  end
  return not find(text, "[\128-\255]") and #text or nil
end

-- Returns the text with U+FFFD for each byte that is not part of UTF-8.
function compat.repair_utf8(text)
  if compat.utf8_length(text) then
    return text
  end
  local pieces, at = {}, 1
  while at <= #text do
    local plain = find(text, "[\128-\255]", at) or #text + 1
    if plain > at then
      pieces[#pieces + 1] = sub(text, at, plain - 1)
    end
    at = plain
    local last
    for i = 1, at <= #text and #SEQUENCES or 0 do
      last = last or select(2, find(text, "^" .. SEQUENCES[i], at))
    end
    if at <= #text then
      pieces[#pieces + 1] = last and sub(text, at, last) or "\239\191\189"
      at = (last or at) + 1
    end
  end
  return concat(pieces)
end

function compat.utf8_char(code)
  if code < 0x80 then
    return char(code)
  end
  local bytes, first = {}, 0x40
  repeat
    local low = code % 0x40
    bytes[#bytes + 1] = char(0x80 + low)
    code, first = (code - low) / 0x40, first / 2
  until code < first
  bytes[#bytes + 1] = char(0x100 - 2 * first + code)
  return reverse(concat(bytes))
end

local function is_less(a, b)
  return a < b
end

-- Sorts as table.sort does; a long list so that the clock is looked at meanwhile.
function compat.sort(list, order)
  return sort(list, order or #list > MAX_SORTED and is_less or nil)
end

return compat
