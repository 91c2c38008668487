-- Tracks opens of every third mail. The count is shared, so it is guarded.
require("msys.core");
require("thread");

local mod = {};
local mutex;
local count = 0;

function mod:init()
  mutex = thread.mutex();
  return true;
end

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  mutex:lock();
  count = count + 1;
  local n = count;
  mutex:unlock();
  if math.mod(n, 3) != 0 then
    msg:context_set(msys.core.ECMESS_CTX_MESS, "smtpapi_open_tracking", "0");
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("sampling", mod);
