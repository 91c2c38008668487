require("msys.core");
require("msys.extended.message");
require("json");

local brands = require("lua.brands");
local mod = {};

local mess = msys.core.ECMESS_CTX_MESS;

-- The customer is known by the network that it injects from.
function mod:validate_connect(accept, vctx)
  if string.match(accept.remote_addr, "^127%.") then
    vctx:set(msys.core.VCTX_CONN, "mo_customer_id", "1005");
  end
  return msys.core.VALIDATE_CONT;
end

function mod:validate_rcptto(msg, str, accept, vctx)
  if msys.expandMacro("%{vctx_mess:rcptto_domain}") == "blocked.example" then
    vctx:set_code(550, "5.7.1 The domain wants no mail");
    return msys.core.VALIDATE_DONE;
  end
  return msys.core.VALIDATE_CONT;
end

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  local class = msg:header("X-Class")[1];
  if class == "password-reset" then
    msg:context_set(mess, "smtpapi_click_tracking", "0");
    msg:context_set(mess, "smtpapi_open_tracking", "false");
  elseif class == "receipt" then
    msg:context_set(mess, "smtpapi_campaign_id", "receipts");
    msg:context_set(mess, "smtpapi_tags", "[\"receipt\", \"no-reply\"]");
    msg:context_set(mess, "smtpapi_tracking_link_expiry", "86400");
  elseif class == "too-long" then
    msg:context_set(mess, "smtpapi_campaign_id", string.rep("x", 65));
  end

  local brand = brands[msg:address_header("From", "domain")[1]];
  if brand != nil then
    msg:context_set(mess, "pathway", brand.pathway);
    msg:context_set(mess, "smtpapi_metadata", json.encode({ brand = brand.name }));
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("engagement", mod);
