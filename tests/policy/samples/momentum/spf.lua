-- Acts on what an earlier script found out about the sender.
require("msys.core");
require("msys.extended.vctx");

local mod = {};

function mod:validate_mailfrom(str, accept, vctx)
  local found = vctx:get(msys.core.ECMESS_CTX_MESS, "spf_status");
     if found == "fail" then
        vctx:set_code(550, "5.7.23 SPF says no");
        return msys.core.VALIDATE_DONE;
     end
 return msys.core.VALIDATE_CONT;
end

msys.registerModule("spf", mod);
