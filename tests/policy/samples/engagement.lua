--[[ Engagement tracking by kind of mail, as a Momentum operator keeps it beside ecelerity.conf:
     password resets are never tracked, newsletters always, and every brand has its own domain. ]]
require("msys.core");
require("msys.extended.message");
require("msys.extended.vctx");
local brands = require("shared.brands");

local mod = {};
local MESS = msys.core.ECMESS_CTX_MESS;
local CONN = msys.core.ECMESS_CTX_CONN;

local function first(msg, name)
  local values = msg:header(name);
  if values ~= nil and values[1] ~= nil then
    return values[1];
  end
  return nil;
end

function mod:validate_auth(str, accept, vctx)
  vctx:set(msys.core.VCTX_CONN, "mo_customer_id", "42");
  return msys.core.VALIDATE_CONT;
end

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  local class = first(msg, "X-Class");
  if class == "password-reset" then
    msg:context_set(MESS, "smtpapi_click_tracking", "0");
    msg:context_set(MESS, "smtpapi_open_tracking", "0");
    return msys.core.VALIDATE_CONT;
  end

  if class != nil and class:lower():find("^newsletter") then
    msg:context_set(MESS, "smtpapi_click_tracking", "1");
    msg:context_set(MESS, "smtpapi_open_tracking", "true");
    msg:context_set(MESS, "smtpapi_campaign_id", string.sub(class, 12, 75));
    msg:context_set(MESS, "smtpapi_tags", "[\"newsletter\", \"" .. (first(msg, "X-Edition") or "none") .. "\"]");
    msg:context_set(MESS, "smtpapi_tracking_link_expiry", 90 * 24 * 3600);
  end

  local domain = msg:address_header("From", "domain")[1];
  if domain != nil and brands[domain] then
    msg:context_set(MESS, "smtpapi_tracking_domain", brands[domain]);
    msg:context_set(MESS, "smtpapi_click_tracking_scheme", "https");
    msg:context_set(MESS, "smtpapi_open_tracking_scheme", "https");
  end

  local exists, customer = msg:context_exists_and_get(CONN, "mo_customer_id");
  if exists == 1 then
    print("customer", customer, "to", vctx:get(MESS, "rcptto_domain"));
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("engagement", mod);
