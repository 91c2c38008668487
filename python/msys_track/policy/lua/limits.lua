-- The limits of one call. Without them a loop in a policy stops all mail, and a loop that catches
-- errors can't be stopped at all.
--
-- A count hook checks the clock and the memory. Nothing may keep it from running: message handlers
-- run with hooks off, coroutines have hooks of their own, so a policy can't have any. An error that
-- pcall catches is raised again once a limit is reached.

local compat, timeout_seconds, load_seconds, max_kib, thread_seconds = ...

local INSTRUCTIONS = 100 -- between two looks; one instruction can work on megabytes

local clock, collect, error, huge = os.clock, collectgarbage, error, math.huge
local format, pcall, type = string.format, pcall, type
local pack, unpack = compat.pack, compat.unpack

-- The limit is on the thread's processor time, so that neither a busy machine nor other work in the
-- process counts. Reading it is slow. Reading the process's is fast, and it is never less: so the
-- thread's is read only when the process's has passed the limit.
local deadline, last, allowed = huge, huge, 0
local TOO_MUCH = format("uses more than %d KiB of memory", max_kib)
local spent -- a text about what ran out; stays until the next call

-- Returns whether too much memory is in use for anything more to be passed in.
local function is_full()
  if collect("count") <= max_kib then
    return false
  end
  collect()
  return collect("count") > max_kib
end

local function look()
  if clock() > deadline then
    local left = last - thread_seconds()
    if left < 0 then
      spent = format("ran longer than %g seconds", allowed)
    else
      deadline = clock() + left
    end
  end
  if not spent and is_full() then
    spent = TOO_MUCH
  end
  if spent then
    error(spent, 0)
  end
end

local limits = { is_full = is_full }

-- Starts the clock; `now` is the thread's, which Python hands over faster than it answers for it.
function limits.start(is_loading, now)
  spent = nil
  allowed = is_loading and load_seconds or timeout_seconds
  deadline, last = clock() + allowed, now + allowed
end

function limits.stop()
  deadline, last, spent = huge, huge, nil
end

-- Raises if a limit is reached; called before work that one instruction starts.
limits.look = look

local function check_outcome(ok, ...)
  if not ok and (...) == "not enough memory" then -- between two looks
    spent = spent or TOO_MUCH
  end
  if spent then
    error(spent, 0)
  end
  if not ok and type((...)) == "userdata" then
    error((...), 0) -- an exception of Python's: no policy's to catch
  end
  return ok, ...
end

function limits.pcall(f, ...)
  return check_outcome(pcall(f, ...))
end

-- The handler runs when the stack is unwound already, where the hook still counts.
function limits.xpcall(f, handler)
  local outcome = pack(limits.pcall(f))
  if outcome[1] then
    return unpack(outcome, 1, outcome.n)
  end
  return false, handler(outcome[2])
end

debug.sethook(look, "", INSTRUCTIONS)
return limits
