-- Mail of the test system says so in its subject.
require("msys.core");
require("msys.extended.message");

local mod = {};

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  local subject = msg:header("Subject")[1] or "";
  if msg:context_get(msys.core.VCTX_MESS, "mailfrom_domain") == "test.shop.example" then
    msg:header("Subject", "[Prüfung] " .. subject, "replace");
    msg:context_set(msys.core.VCTX_MESS, "smtpapi_open_tracking", "0");
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("field_replaced", mod);
