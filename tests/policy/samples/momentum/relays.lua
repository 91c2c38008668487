-- Who may not relay is refused; who may is a customer.
require("msys.core");
require("msys.extended.message");

local mod = {};

function mod:validate_auth(str, accept, vctx)
  vctx:set(msys.core.VCTX_CONN, "mo_customer_id", string.len(tostring(str)));
  return msys.core.VALIDATE_CONT;
end

function mod:validate_data_spool_each_rcpt (msg, accept, vctx)
  if msg:context_get(msys.core.VCTX_CONN, "can_relay") == "false" then
    msg:code("553", "5.7.1 Not today");
    vctx:set_code("553", "5.7.1 Not today");
    print("This sender can not relay");
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("relays", mod);
