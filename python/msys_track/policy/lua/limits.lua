-- Limits of one call: without them a loop in a policy stops every mail, and one that catches
-- errors can't be stopped at all.
--
-- A count hook looks at the clock and the memory. What could keep it from running is closed:
-- finalizers and message handlers run with hooks off, so there are none; what is caught by pcall
-- is raised again once a limit is spent.

local timeout_seconds, load_seconds, max_kib, thread_seconds = ...

local INSTRUCTIONS = 100 -- between two looks; one instruction can work on megabytes

local clock, collect, error, huge = os.clock, collectgarbage, error, math.huge
local format, pcall, rawget, setmetatable, type = string.format, pcall, rawget, setmetatable, type

-- What counts is the thread's processor time, so that neither a busy machine nor other work in the
-- process is held against a policy. Asking for it is dear. The process's is not, and is never less:
-- only where that has passed is the thread's looked at.
local deadline, last, allowed = huge, huge, 0
local spent -- what ran out, in words; stays until the next call

local function look()
  if clock() > deadline then
    local left = last - thread_seconds()
    if left < 0 then
      spent = format("ran longer than %g seconds", allowed)
    else
      deadline = clock() + left
    end
  end
  if not spent and collect("count") > max_kib then
    collect()
    if collect("count") > max_kib then
      spent = format("uses more than %d KiB of memory", max_kib)
    end
  end
  if spent then
    error(spent, 0)
  end
end

local limits = {}

-- Starts the clock.
function limits.start(is_loading)
  spent = nil
  allowed = is_loading and load_seconds or timeout_seconds
  deadline, last = clock() + allowed, thread_seconds() + allowed
end

function limits.stop()
  deadline, last, spent = huge, huge, nil
end

-- Raises where a limit is spent; called before work that one instruction starts.
limits.look = look

-- Whether so much memory is in use that nothing more may be handed in.
function limits.is_full()
  if collect("count") <= max_kib then
    return false
  end
  collect()
  return collect("count") > max_kib
end

local function settled(ok, ...)
  if spent then
    error(spent, 0)
  end
  if not ok and type((...)) == "userdata" then
    error((...), 0) -- an exception of Python's: no policy's to catch
  end
  return ok, ...
end

function limits.pcall(f, ...)
  return settled(pcall(f, ...))
end

local function handled(handler, ok, ...)
  if ok then
    return true, ...
  end
  return false, handler((...))
end

-- The handler runs when the stack is unwound already, where the hook still counts.
function limits.xpcall(f, handler, ...)
  return handled(handler, limits.pcall(f, ...))
end

function limits.setmetatable(object, metatable)
  if type(metatable) == "table" and rawget(metatable, "__gc") ~= nil then
    error("__gc is not available in the sandbox", 2)
  end
  return setmetatable(object, metatable)
end

debug.sethook(look, "", INSTRUCTIONS)
return limits
