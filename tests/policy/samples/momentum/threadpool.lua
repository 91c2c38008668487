-- Moves work to pools: with its result, without waiting, and with a function at its end.
require("msys.core");
require("msys.threadpool");
require("msys.extended.message");

local mod = {};

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  local status, result = msys.runInPool("CPU", function()
    return string.len(msg:header("Subject")[1]);
  end);
  if status and result > 3 then
    msg:context_set(msys.core.ECMESS_CTX_MESS, "subject_length", result);
  end
  msys.runInPool("IO", function() print("logged in a pool"); end, true);
  msys.runInPool("IO", function() print("worked"); end, function() print("completed"); end);
  local failed, why = msys.runInPool("IO", function() error("no such table"); end);
  if !failed then
    print("it failed:", why);
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("threadpool", mod);
