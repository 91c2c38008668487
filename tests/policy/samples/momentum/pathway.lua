-- The pathway of a mail is that of the network that it comes from.
require("msys.extended.message");

local mod = {};

function mod:validate_data_spool(msg, ac, vctx)
  local ip, port = msg:reception_peer('ip'), msg:listener_addr('port');
  print(msg:reception_peer());
  if string.find(ip, "^10\.") and port == "2525" then
    msg:context_set(msys.core.ECMESS_CTX_MESS, "pathway", "inner");
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("pathway", mod);
