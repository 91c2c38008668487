-- Signs late, which is for the server after this one; and notes here who is to sign.
require("msys.core");
require("msys.extended.message");
require("msys.validate.dkim");

local mod = {};

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  local domain = msg:header("X-Sign");
  if ((domain[1] ~= "") and (domain[1] ~= nil)) then
    msg:context_set(msys.core.ECMESS_CTX_MESS, "sign", domain[1]);
  end
  return msys.core.VALIDATE_CONT;
end

function mod:core_final_validation(msg, accept, vctx)
  local options = {};
  options["base_domain"] = msg:context_get(msys.core.ECMESS_CTX_MESS, "sign");
  options["identity"] = '\@shop.example';
  print("sign returns ", msys.validate.dkim.sign(msg, vctx, options));
return
msys.core.VALIDATE_CONT
end

msys.registerModule("signing", mod);
