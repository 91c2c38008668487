-- Assembles the pieces. Each may rely on those before it.

local piece, outside, settings = ...

local getfenv, next = getfenv, next

local compat = piece("compat")()
local limits = piece("limits")(
  compat,
  settings.timeout_seconds,
  settings.load_seconds,
  settings.max_kib,
  outside.thread_seconds
)
local patterns = piece("patterns")(compat)
local json = piece("json")(compat)
local contexts = piece("contexts")(compat, json, settings)
local message = piece("message")(compat, limits, contexts, outside)
local pcre = piece("pcre")(compat, limits, message, outside)
local editor = piece("policyeditor")(contexts, message, pcre)
local policy = piece("momentum")(compat, limits, json, contexts, outside, message, pcre, editor)
local environment = piece("library")(compat, limits, patterns, policy, settings.is_sandboxed)
local compile = piece("chunks")(compat, limits, policy, environment, outside, settings.is_sandboxed)

for name, value in next, policy.globals do
  environment[name] = value
end

local is_module = false

function policy.load_file(source, chunk)
  return policy.load(function()
    local main = compile(source, chunk)
    local globals = getfenv(main)
    main()
    is_module = getfenv(main) ~= globals -- it has called `module`
  end)
end

-- Whether the main file is a module: other files require it.
function policy.is_module()
  return is_module
end

return policy
