-- Momentum's `msys.pcre`, on an engine that takes linear time.
--
-- A pattern that is wrong in PCRE too gives nil, a text and a number, as in Momentum. A pattern that
-- only this engine can't match raises an error: a policy must not decide as if nothing matched.

local compat, limits, message, outside = ...

local byte, concat, error, format = string.byte, table.concat, error, string.format
local select, sub, tostring, type = select, string.sub, tostring, type
local ask, check_text, repair = message.ask, message.check_text, message.repair

local MAX_REPLACED = 1048576 -- bytes of a text that a policy's function makes piece by piece

local pcre = {}

-- Makes the table of a match from: how many groups; their texts; name and text of each with a name.
local function make_groups(answer, first)
  local groups, count = {}, answer[first]
  for i = 1, count do
    groups[i - 1] = answer[first + i]
  end
  for i = first + count + 1, #answer, 2 do
    groups[answer[i]] = answer[i + 1]
  end
  return groups
end

-- Returns the answer to a question about a subject and a pattern, and whether the pattern is wrong.
local function ask_pattern(method, question, subject, pattern, ...)
  limits.look()
  local answer = ask(question, subject, pattern, ...)
  limits.look()
  if answer[1] == "error" then
    error(format("%s: %s", method, answer[2]), 3)
  end
  return answer, answer[1] == "bad"
end

-- Matches once. Returns a table of the whole match at 0 and its groups, by number and by name; nil if
-- there is no match; nil, a text and a number if the pattern is wrong.
function pcre.match(subject, pattern)
  subject = check_text("msys.pcre.match", "subject", repair(subject))
  pattern = check_text("msys.pcre.match", "pattern", pattern)
  local answer, is_bad = ask_pattern("msys.pcre.match", outside.pcre_match, subject, pattern, 0)
  if is_bad then
    return nil, answer[2], answer[3]
  elseif answer[1] == "none" then
    return nil
  end
  return make_groups(answer, 4)
end

-- Splits a text where a pattern matches; empty pieces are left out.
function pcre.split(subject, pattern)
  subject = check_text("msys.pcre.split", "subject", repair(subject))
  pattern = check_text("msys.pcre.split", "pattern", pattern)
  local answer, is_bad = ask_pattern("msys.pcre.split", outside.pcre_split, subject, pattern)
  if is_bad then
    return nil, answer[2], answer[3]
  end
  return { select(2, compat.unpack(answer)) }
end

-- Replaces what a function gives for each match.
local function replace_by(subject, pattern, replace, limit)
  local pieces, size, at, from, count = {}, 0, 0, 0, 0
  local function keep(piece)
    size = size + #piece
    if size > MAX_REPLACED then
      error(format("msys.pcre.replace: more than %d bytes", MAX_REPLACED), 4)
    end
    pieces[#pieces + 1] = piece
  end
  while not limit or count < limit do
    local method = "msys.pcre.replace"
    local answer, is_bad = ask_pattern(method, outside.pcre_match, subject, pattern, at)
    if is_bad then
      return nil, answer[2], answer[3]
    elseif answer[1] == "none" then
      break
    end
    local first, last = answer[2], answer[3]
    local found = replace(make_groups(answer, 4))
    keep(sub(subject, from + 1, first))
    if found == nil or found == false then
      keep(sub(subject, first + 1, last))
    else
      keep(check_text(method, "replacement", repair(found)))
    end
    from, at, count = last, last, count + 1
    if first == last then
      at = at + 1 -- and past the rest of a character
      while (byte(subject, at + 1) or 0) >= 128 and (byte(subject, at + 1) or 0) < 192 do
        at = at + 1
      end
    end
    if at > #subject then
      break
    end
  end
  keep(sub(subject, from + 1))
  return concat(pieces)
end

-- Replaces each match, or the first `limit`. In a replacement `$1`, `\1` and `${name}` are groups; a
-- function gets the table of a match and returns the replacement.
function pcre.replace(subject, pattern, replacement, limit)
  subject = check_text("msys.pcre.replace", "subject", repair(subject))
  pattern = check_text("msys.pcre.replace", "pattern", pattern)
  if limit ~= nil and type(limit) ~= "number" then
    error("msys.pcre.replace: the limit must be a number, found " .. tostring(limit), 2)
  elseif type(replacement) == "function" then
    return replace_by(subject, pattern, replacement, limit)
  end
  replacement = check_text("msys.pcre.replace", "replacement", repair(replacement))
  local question = outside.pcre_replace
  local answer, is_bad =
    ask_pattern("msys.pcre.replace", question, subject, pattern, replacement, limit or -1)
  if is_bad then
    return nil, answer[2], answer[3]
  end
  return answer[2]
end

return pcre
