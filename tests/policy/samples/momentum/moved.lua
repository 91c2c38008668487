-- People who have moved get their mail at the new address.
require("msys.core");
require("msys.extended.message");

local moved = { {"jo", "example.org", "jo@new.example"}, {"kim", "example.org", "kim@new.example"} };

local mod = {};

function mod:validate_data_spool_each_rcpt(msg)
  local localpart = msg:context_get(msys.core.ECMESS_CTX_MESS, "rcptto_localpart");
  local domain = msg:context_get(msys.core.ECMESS_CTX_MESS, "rcptto_domain");
  local i = 1;
  while i <= table.getn(moved) do
    if moved[i][1] == localpart and moved[i][2] == domain then
      msys.core.ec_message_context_set(msg, msys.core.ECMESS_CTX_MESS, "moved_from", msg:rcptto());
      msg:rcptto(moved[i][3]);
    end
    i = i + 1;
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("moved", mod);
