-- Switches tracking on and then fails, as a script with a slip of the pen does.
require("msys.core");

local mod = {};

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  vctx:set(msys.core.VCTX_MESS, "smtpapi_click_tracking", "1");
  msg:header("X-Spoilt", "yes");
  local localpart = trim(msg:rcptto());
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("defect", mod);
