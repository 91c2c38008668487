-- Assembles the pieces. Each may rely on those before it.

local piece, outside, settings = ...

local error, format, load, type = error, string.format, load, type

local limits = piece("limits")(
  settings.timeout_seconds,
  settings.load_seconds,
  settings.max_kib,
  outside.thread_seconds
)
local patterns = piece("patterns")()
local json = piece("json")()
local contexts = piece("contexts")(json, settings)
local policy = piece("momentum")(limits, json, contexts, outside)
local environment = piece("library")(limits, patterns, settings.is_sandboxed)
local native_require = not settings.is_sandboxed and require

environment.print, environment.msys, environment.json = policy.print, policy.msys, json

local loaded = {}

local function compile(source, chunk)
  policy.name_source(chunk)
  local main, problem = load(source, "=" .. chunk, "t", environment)
  if not main then
    error(problem, 0)
  end
  return main
end

function environment.require(name)
  if type(name) ~= "string" then
    error("require: expected a module's name", 2)
  elseif loaded[name] ~= nil then
    return loaded[name]
  end
  loaded[name] = true -- for circles
  local found = policy.module(name)
  if not found then
    local source, chunk = outside.source(name)
    if source then
      found = compile(source, chunk)(name)
    elseif native_require then
      found = native_require(name)
    else
      loaded[name] = nil
      error(format("require: no module '%s': %s", name, chunk), 2)
    end
  end
  loaded[name] = found == nil or found
  return loaded[name]
end

function policy.load_file(source, chunk)
  return policy.load(function()
    compile(source, chunk)()
  end)
end

-- What the tests compare with C.
policy.interruptible = patterns.interruptible
return policy
