-- The two dictionaries of context variables, for one call.
--
-- Changes are collected and returned with the answer, so a policy that fails sets nothing.

local compat, json, bounds = ...

local error, format, tostring, type = error, string.format, tostring, type
local unpack, utf8_length = compat.unpack, compat.utf8_length

local MESSAGE, CONNECTION = 1, 2
local MAX_RETURNED = 6000
local max_name, max_value = bounds.max_name, bounds.max_value
local max_variables, max_octets = bounds.max_variables, bounds.max_octets

local contexts = { [MESSAGE] = {}, [CONNECTION] = {} }
local sizes = { [MESSAGE] = 0, [CONNECTION] = 0 } -- variables
local octets = { [MESSAGE] = 0, [CONNECTION] = 0 } -- of names and values
local changed, is_changed

local variables = {
  MESSAGE = MESSAGE,
  CONNECTION = CONNECTION,
  -- By kind and name: functions that give what Momentum sets itself. A policy's own comes first.
  predefined = { [MESSAGE] = {}, [CONNECTION] = {} },
}

local CALLER = 3 -- the level of the policy's line, seen from a function that a method calls

local good_names, good_name_count = {}, 0 -- seen before, so that they need no second look

-- Checks what a method was called with, and returns the dictionary of that kind.
local function check_arguments(method, kind, name)
  local context = contexts[kind]
  if not context then
    error(
      method .. ": the type must be msys.core.ECMESS_CTX_MESS or msys.core.ECMESS_CTX_CONN",
      CALLER
    )
  elseif good_names[name] then
    return context
  elseif type(name) ~= "string" or name == "" or #name > max_name or not utf8_length(name) then
    error(
      format("%s: a variable's name is a string of 1 to %d bytes", method, max_name),
      CALLER
    )
  end
  if good_name_count < max_variables then
    good_names[name], good_name_count = true, good_name_count + 1
  end
  return context
end

local function value_text(name, value)
  local kind = type(value)
  if kind == "string" or kind == "number" or kind == "boolean" or json.is_json(value) then
    return tostring(value)
  end
  error(format("%s: values are strings, found %s", name, kind), CALLER)
end

local function note_change(kind, name, earlier)
  local seen = is_changed[kind]
  if not seen[name] then
    seen[name] = earlier and "was there" or "is new"
    local n = #changed
    changed[n + 1], changed[n + 2] = kind, name
  end
end

local function assign(kind, context, name, value)
  local earlier = context[name]
  local size = sizes[kind] + (earlier and 0 or 1)
  local total = octets[kind] + #value + (earlier and -#earlier or #name)
  if #value > max_value then
    error(format("%s: %d bytes, at most %d", name, #value, max_value), CALLER)
  elseif not utf8_length(value) then
    error(format("%s: the value is not valid UTF-8", name), CALLER)
  elseif size > max_variables then
    error(
      format("%s: one context holds at most %d variables", name, max_variables),
      CALLER
    )
  elseif total > max_octets then
    error(format("%s: one context holds at most %d bytes", name, max_octets), CALLER)
  end
  context[name], sizes[kind], octets[kind] = value, size, total
  note_change(kind, name, earlier)
end

local function value_of(kind, name)
  local value = contexts[kind][name]
  local predefined = value == nil and variables.predefined[kind][name]
  if predefined then
    return predefined()
  end
  return value
end

-- Returns the methods of an object with the dictionaries, under that object's names for them.
function variables.methods(names)
  local get_name, set_name, exists_name = names.get, names.set, names.exists
  local both_name, delete_name = names.both, names.delete
  return {
    [get_name] = function(_, kind, name)
      check_arguments(get_name, kind, name)
      return value_of(kind, name) or ""
    end,
    [set_name] = function(_, kind, name, value)
      local context = check_arguments(set_name, kind, name)
      assign(kind, context, name, value_text(name, value))
    end,
    [exists_name] = function(_, kind, name)
      check_arguments(exists_name, kind, name)
      return value_of(kind, name) and 1 or 0
    end,
    [both_name] = function(_, kind, name)
      check_arguments(both_name, kind, name)
      local value = value_of(kind, name)
      return value and 1 or 0, value
    end,
    [delete_name] = function(_, kind, name)
      local context = check_arguments(delete_name, kind, name)
      local earlier = context[name]
      if earlier then
        context[name], sizes[kind] = nil, sizes[kind] - 1
        octets[kind] = octets[kind] - #name - #earlier
        note_change(kind, name, earlier)
      end
      return earlier and 1 or 0
    end,
  }
end

local function fill(kind, given, first, last)
  local context, total = {}, 0
  for i = first, last, 2 do
    local name, value = given[i], given[i + 1]
    context[name] = value
    total = total + #name + #value
  end
  contexts[kind], octets[kind], sizes[kind] = context, total, (last - first + 1) / 2
end

-- Begins a call with these variables: name, value, name …, the connection's first.
function variables.begin(connection_count, given)
  fill(CONNECTION, given, 1, 2 * connection_count)
  fill(MESSAGE, given, 2 * connection_count + 1, #given)
  changed, is_changed = {}, { [MESSAGE] = {}, [CONNECTION] = {} }
end

variables.value = value_of

-- Kind, name and value (false: deleted) of each variable that the call changed, one after the other;
-- in a list if they are more than a call can return.
function variables.changes()
  local flat, n = {}, 0
  for i = 1, #changed, 2 do
    local kind, name = changed[i], changed[i + 1]
    local value = contexts[kind][name]
    if value or is_changed[kind][name] == "was there" then
      flat[n + 1], flat[n + 2], flat[n + 3] = kind, name, value or false
      n = n + 3
    end
  end
  if n > MAX_RETURNED then
    return flat
  end
  return unpack(flat, 1, n)
end

return variables
