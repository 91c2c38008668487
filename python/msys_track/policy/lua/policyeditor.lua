-- Momentum's `msys.policyeditor`, the functions that came before the methods of `msg`.
--
-- Each takes the callout's objects (`ec_message` is the message), the script's variables, and what
-- it is called with by name. Functions that send mail or traps are not here.

local contexts, message, pcre = ...

local error, format, next, type = error, string.format, next, type

local MESSAGE, CONNECTION = contexts.MESSAGE, contexts.CONNECTION
local CALLER = 3 -- the level of the policy's line, seen from a function that another calls

local editor = {}

local function read_text(name, params, key)
  local value = type(params) == "table" and params[key]
  if type(value) ~= "string" then
    error(format("msys.policyeditor.%s: %s must be a string", name, key), CALLER)
  end
  return value
end

function editor.get_mailfrom()
  return message.call.sender
end

function editor.get_rcptto()
  return message.call.recipient
end

function editor.get_mess_recv_from()
  return message.call.peer
end

function editor.get_mess_recv_via()
  return message.call.listen
end

-- Returns the first value of a field; nil if it is absent.
function editor.get_header(_, _, params)
  return message.msg:header(read_text("get_header", params, "header"))[1]
end

function editor.del_header(_, _, params)
  local name = read_text("del_header", params, "header")
  message.msg:header(name, "")
  return name
end

local function add_variable_functions(kind_name, kind)
  local get_name, set_name = "vctx_" .. kind_name .. "_get", "vctx_" .. kind_name .. "_set"
  editor[get_name] = function(_, _, params)
    return contexts.value(kind, read_text(get_name, params, "key"))
  end
  editor[set_name] = function(_, _, params)
    local key = read_text(set_name, params, "key")
    local value = read_text(set_name, params, "value")
    message.vctx:set(kind, key, value)
    return value
  end
end

add_variable_functions("mess", MESSAGE)
add_variable_functions("conn", CONNECTION)

-- Matches, and sets the variables `$0` (the subject), `$1` … and `$name` for groups with names.
function editor.pcre_match(_, vars, params)
  local subject = read_text("pcre_match", params, "subject")
  local matches = pcre.match(subject, read_text("pcre_match", params, "pattern"))
  if not matches then
    return false
  end
  for name, text in next, matches do
    vars["$" .. name] = text
  end
  vars["$0"] = subject
  return true
end

function editor.set_binding()
  message.pass_over("msys.policyeditor.set_binding")
  return true
end

function editor.set_binding_group()
  message.pass_over("msys.policyeditor.set_binding_group")
  return true
end

return editor
