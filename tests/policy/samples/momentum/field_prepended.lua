-- Writes where a mail came in, above everything else.
require("msys.core");
require("msys.extended.message");

local mod = {};

function mod:validate_data_spool(msg, accept, vctx)
  local came = "from " .. msg:reception_peer("ip") .. " to " .. msg:listener_addr("port");
  msg:header("X-Came", came, "prepend");
  print("message", tostring(msg.id), "connection", tostring(accept.conn_id));
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("field_prepended", mod);
