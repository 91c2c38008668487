-- Lua's pattern functions, within limits: the C ones can backtrack for hours without a hook.
--
-- A pattern with k repetitions needs at most (text + 1)^k steps. If that is little, C matches it.
-- If not, the matcher below does: it is slower, gives the same answers, and can be interrupted.

-- C also recurses for each item that can match in several ways, and ends the process where its
-- stack ends: a pattern with many of them is never C's.

local compat, affordable = ...
affordable = affordable or 2e6 -- steps of C: some ten milliseconds
local MAX_DEPTH = 100 -- recursions of C
local REMEMBERED = 200 -- compiled patterns
local MAX_PATTERN = 4096 -- characters, for the matcher here: its classes are spelt out

local find, match, gmatch, gsub = string.find, string.match, string.gmatch, string.gsub
local byte, char, format, sub = string.byte, string.char, string.format, string.sub
local concat, error, setmetatable, tostring, type = table.concat, error, setmetatable, tostring, type
local floor, ceil, tonumber, unpack = math.floor, math.ceil, tonumber, compat.unpack

local huge = math.huge

local MAX_CAPTURES = 32

-- Compiling: a pattern becomes a list of items { kind, … } and the number of its repetitions, the
-- search for its start included. For gmatch a caret is a character.

-- The characters of a class, tested in C one by one when the class is first used.
local function set_of(source)
  local anchored = "^" .. source
  return setmetatable({}, {
    __index = function(set, code)
      if code then
        local is_in = find(char(code), anchored) ~= nil
        set[code] = is_in
        return is_in
      end
    end,
  })
end

local function class_end(pattern, at)
  local c = sub(pattern, at, at)
  if c == "%" then
    if at == #pattern then
      error("malformed pattern (ends with '%')", 0)
    end
    return at + 1
  end
  if c ~= "[" then
    return at
  end
  at = at + 1
  if sub(pattern, at, at) == "^" then
    at = at + 1
  end
  repeat -- the first character is of the set, also ']'
    if at > #pattern then
      error("malformed pattern (missing ']')", 0)
    end
    at = at + (sub(pattern, at, at) == "%" and 2 or 1)
  until sub(pattern, at, at) == "]"
  return at
end

local function escaped_item(pattern, at)
  local c = sub(pattern, at + 1, at + 1)
  if c == "b" then
    if at + 3 > #pattern then
      error("malformed pattern (missing arguments to '%b')", 0)
    end
    return { kind = "balance", open = byte(pattern, at + 2), close = byte(pattern, at + 3) }, at + 4
  end
  if c == "f" then
    if sub(pattern, at + 2, at + 2) ~= "[" then
      error("missing '[' after '%f' in pattern", 0)
    end
    local last = class_end(pattern, at + 2)
    return { kind = "frontier", set = set_of(sub(pattern, at + 2, last)) }, last + 1
  end
  if find(c, "^%d") then
    return { kind = "back", number = byte(c) - 48 }, at + 2
  end
end

local function item_at(pattern, at)
  local c = sub(pattern, at, at)
  if sub(pattern, at, at + 1) == "()" then
    return { kind = "position" }, at + 2
  elseif c == "(" then
    return { kind = "open" }, at + 1
  elseif c == ")" then
    return { kind = "close" }, at + 1
  elseif c == "$" and at == #pattern then
    return { kind = "end" }, at + 1
  elseif c == "%" then
    local item, next_at = escaped_item(pattern, at)
    if item then
      return item, next_at
    end
  end
  local last = class_end(pattern, at)
  local repetition = sub(pattern, last + 1, last + 1)
  local item = { kind = "one", set = set_of(sub(pattern, at, last)) }
  if repetition ~= "" and find(repetition, "[*+?-]") then
    item.kind = repetition
    last = last + 1
  end
  return item, last + 1
end

local COSTLY = { ["*"] = true, ["+"] = true, ["-"] = true, balance = true, back = true }

local compiled, remembered = { [true] = {}, [false] = {} }, 0 -- by whether a caret is an anchor

local function compile(pattern, has_anchor)
  if compiled[has_anchor][pattern] then
    return compiled[has_anchor][pattern]
  end
  local source = pattern
  pattern = match(pattern, "^[^%z]*") -- to C a zero is its end
  local is_anchored = has_anchor and sub(pattern, 1, 1) == "^"
  local items, repetitions, options, at = {}, is_anchored and 0 or 1, 0, is_anchored and 2 or 1
  local depth = 0
  while at <= #pattern do
    items[#items + 1], at = item_at(pattern, at)
    local kind = items[#items].kind
    repetitions = repetitions + (COSTLY[kind] and 1 or 0)
    options = options + (kind == "?" and 1 or 0)
    depth = depth + (kind == "one" and 0 or 1)
  end
  if remembered >= REMEMBERED then
    compiled, remembered = { [true] = {}, [false] = {} }, 0
  end
  local weight = depth > MAX_DEPTH and huge or (#pattern + 1) * 2.0 ^ options
  local program = { items = items, is_anchored = is_anchored, repetitions = repetitions, weight = weight }
  compiled[has_anchor][source], remembered = program, remembered + 1
  return program
end

-- Matching.

local function capture_text(text, capture)
  if capture.length == "position" then
    return capture.start
  elseif capture.length == "open" then
    error("unfinished capture", 0)
  end
  return sub(text, capture.start, capture.start + capture.length - 1)
end

local step

local function balance_end(text, item, at)
  if byte(text, at) ~= item.open then
    return nil
  end
  local depth = 1
  for i = at + 1, #text do
    local code = byte(text, i)
    if code == item.close then
      depth = depth - 1
      if depth == 0 then
        return i + 1
      end
    elseif code == item.open then
      depth = depth + 1
    end
  end
end

-- How items end that can be matched in more than one way, or that a failure has to undo. Each
-- returns where the match ends (exclusive), or nil.

local function open_capture(state, at, number, item)
  if state.level >= MAX_CAPTURES then
    error("too many captures", 0)
  end
  local level = state.level + 1
  state.level = level
  state.captures[level] = { start = at, length = item.kind }
  local ending = step(state, at, number + 1)
  if not ending then
    state.level = level - 1
  end
  return ending
end

local function close_capture(state, at, number)
  for level = state.level, 1, -1 do
    local capture = state.captures[level]
    if capture.length == "open" then
      capture.length = at - capture.start
      local ending = step(state, at, number + 1)
      if not ending then
        capture.length = "open"
      end
      return ending
    end
  end
  error("invalid pattern capture", 0)
end

local function try_longest_first(state, at, number, item)
  local text, set, furthest = state.text, item.set, at
  while set[byte(text, furthest)] do
    furthest = furthest + 1
  end
  for i = furthest, item.kind == "+" and at + 1 or at, -1 do
    local ending = step(state, i, number + 1)
    if ending then
      return ending
    end
  end
end

local function try_shortest_first(state, at, number, item)
  local text, set = state.text, item.set
  while true do
    local ending = step(state, at, number + 1)
    if ending or not set[byte(text, at)] then
      return ending
    end
    at = at + 1
  end
end

local function try_with_and_without(state, at, number, item)
  local is_there = item.set[byte(state.text, at)]
  return is_there and step(state, at + 1, number + 1) or step(state, at, number + 1)
end

local BRANCHES = {
  open = open_capture,
  position = open_capture,
  close = close_capture,
  ["*"] = try_longest_first,
  ["+"] = try_longest_first,
  ["-"] = try_shortest_first,
  ["?"] = try_with_and_without,
}

-- Matches the items from `number` on. Returns where the match ends (exclusive), or nil.
function step(state, at, number)
  local text, items = state.text, state.items
  while true do
    local item = items[number]
    if not item then
      return at
    end
    local kind = item.kind
    if kind == "one" then
      if not item.set[byte(text, at)] then
        return nil
      end
      at = at + 1
    elseif kind == "end" then
      return at == #text + 1 and at or nil
    elseif kind == "frontier" then
      local before = at > 1 and byte(text, at - 1) or 0
      if item.set[before] or not item.set[byte(text, at) or 0] then
        return nil
      end
    elseif kind == "balance" then
      at = balance_end(text, item, at)
      if not at then
        return nil
      end
    elseif kind == "back" then
      local capture = state.captures[item.number]
      if not capture or item.number > state.level or capture.length == "open" then
        error(format("invalid capture index %%%d", item.number), 0)
      end
      local again = capture_text(text, capture)
      if capture.length == "position" then
        return nil -- C compares as many characters as there never are
      end
      if sub(text, at, at + #again - 1) ~= again then
        return nil
      end
      at = at + #again
    else
      return BRANCHES[kind](state, at, number, item)
    end
    number = number + 1
  end
end

local function state_of(text, pattern, has_anchor)
  if #pattern > MAX_PATTERN then
    error(format("pattern too long (more than %d characters)", MAX_PATTERN), 0)
  end
  local program = compile(pattern, has_anchor)
  return { text = text, items = program.items, captures = {} }, program.is_anchored
end

local function match_at(state, at)
  state.level = 0
  return step(state, at, 1)
end

local function captures_of(state, start, ending, is_whole_wanted)
  local values = {}
  if state.level == 0 and is_whole_wanted then
    values[1] = sub(state.text, start, ending - 1)
  end
  for i = 1, state.level do
    values[i] = capture_text(state.text, state.captures[i])
  end
  return unpack(values, 1, #values)
end

local function slow_search(text, pattern, init, is_find)
  local state, is_anchored = state_of(text, pattern, true)
  local last = #text + 1
  for start = init, is_anchored and init or last do
    local ending = match_at(state, start)
    if ending and is_find then
      return start, ending - 1, captures_of(state, start, ending, false)
    elseif ending then
      return captures_of(state, start, ending, true)
    end
  end
  return nil
end

local function slow_plain(text, wanted, init)
  local length = #wanted
  for start = init, #text - length + 1 do
    if sub(text, start, start + length - 1) == wanted then
      return start, start + length - 1
    end
  end
  return nil
end

local function slow_gmatch(text, pattern)
  local state = state_of(text, pattern, false)
  local at = 1
  return function()
    for start = at, #text + 1 do
      local ending = match_at(state, start)
      if ending then
        at = ending == start and ending + 1 or ending
        return captures_of(state, start, ending, true)
      end
    end
    at = #text + 2
    return nil
  end
end

local function expand_template(state, template, start, ending)
  return (gsub(template, "%%(.?)", function(c)
    if not find(c, "^%d") then
      return c == "" and "\0" or c
    end
    local number = tonumber(c)
    if number == 0 or number == 1 and state.level == 0 then
      return sub(state.text, start, ending - 1)
    elseif number > state.level then
      error(format("invalid capture index %%%d in replacement string", number), 0)
    end
    return tostring(capture_text(state.text, state.captures[number]))
  end))
end

local function replacement_of(state, replacement, start, ending)
  local value
  if type(replacement) == "table" then
    value = replacement[(captures_of(state, start, ending, true))]
  elseif type(replacement) == "function" then
    value = replacement(captures_of(state, start, ending, true))
  else
    return expand_template(state, replacement, start, ending)
  end
  if not value then
    return sub(state.text, start, ending - 1)
  elseif type(value) ~= "string" and type(value) ~= "number" then
    error(format("invalid replacement value (a %s)", type(value)), 0)
  end
  return value
end

local function slow_gsub(text, pattern, replacement, most)
  local state, is_anchored = state_of(text, pattern, true)
  local pieces, count, at = {}, 0, 1
  while count < most do
    local ending = match_at(state, at)
    if ending then
      count = count + 1
      pieces[#pieces + 1] = replacement_of(state, replacement, at, ending)
    end
    if ending and ending > at then
      at = ending
    elseif at <= #text then
      pieces[#pieces + 1] = sub(text, at, at)
      at = at + 1
    else
      break
    end
    if is_anchored then
      break
    end
  end
  pieces[#pieces + 1] = sub(text, at)
  return concat(pieces), count
end

-- The choice between C and the matcher above.

local function is_affordable(length, pattern, has_anchor)
  if length < 2 and #pattern <= MAX_DEPTH then
    return affordable > 0
  end
  local program = compile(pattern, has_anchor)
  return program.weight * (length + 1.0) ^ program.repetitions <= affordable
end

local function as_text(value, number, name)
  if type(value) == "string" then
    return value
  elseif type(value) == "number" then
    return tostring(value)
  end
  local what = value == nil and "no value" or type(value)
  error(format("bad argument #%d to '%s' (string expected, got %s)", number, name, what), 0)
end

local function start_of(init, length)
  if init == nil then
    return 1
  end
  local at = tonumber(init)
  if not at then
    error("init must be a number", 0)
  end
  at = at < 0 and ceil(at) + length + 1 or floor(at)
  return at < 1 and 1 or at > length and length + 1 or at
end

-- Returns whether C takes a pattern as plain text. It looks as far as the first zero.
local function is_plain_text(pattern)
  local special = find(pattern, "[%^%$%*%+%?%.%(%[%%%-]")
  local zero = special and find(pattern, "%z")
  return not special or zero and zero < special
end

local bounded = {}

function bounded.find(text, pattern, init, is_plain)
  text, pattern = as_text(text, 1, "find"), as_text(pattern, 2, "find")
  if is_plain or is_plain_text(pattern) then
    if (#text + 1.0) * #pattern <= 16 * affordable then
      return find(text, pattern, init, true)
    end
    return slow_plain(text, pattern, start_of(init, #text))
  elseif is_affordable(#text, pattern, true) then
    return find(text, pattern, init)
  end
  return slow_search(text, pattern, start_of(init, #text), true)
end

function bounded.match(text, pattern, init)
  text, pattern = as_text(text, 1, "match"), as_text(pattern, 2, "match")
  if is_affordable(#text, pattern, true) then
    return match(text, pattern, init)
  end
  return slow_search(text, pattern, start_of(init, #text), false)
end

function bounded.gmatch(text, pattern)
  text, pattern = as_text(text, 1, "gmatch"), as_text(pattern, 2, "gmatch")
  if is_affordable(#text, pattern, false) then
    return gmatch(text, pattern)
  end
  return slow_gmatch(text, pattern)
end

function bounded.gsub(text, pattern, replacement, most)
  text, pattern = as_text(text, 1, "gsub"), as_text(pattern, 2, "gsub")
  if is_affordable(#text, pattern, true) then
    return gsub(text, pattern, replacement, most)
  elseif type(replacement) ~= "table" and type(replacement) ~= "function" then
    replacement = as_text(replacement, 3, "gsub")
  end
  return slow_gsub(text, pattern, replacement, tonumber(most) or #text + 1)
end

return bounded
