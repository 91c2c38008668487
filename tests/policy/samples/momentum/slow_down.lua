-- Costs of time and words of EHLO are the server's business, so these calls change nothing here.
require("msys.core");
require("msys.extended.vctx");
require("msys.extended.ac");

local mod = {};

function mod:validate_connect(ac, vctx)
  ac:esmtp_capability_add("SIZE 104857600");
  vctx:tarpit(1);
  vctx:set(msys.core.VCTX_CONN, "slowed", "1");
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("slow_down", mod);
