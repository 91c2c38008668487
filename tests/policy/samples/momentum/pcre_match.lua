-- `promo+spring@shop.example` is campaign `spring` of kind `promo`.
require("msys.core");
require("msys.pcre");
require("msys.extended.message");

local mod = {};

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  local matches, errstr, errnum =
    msys.pcre.match(msg:mailfrom(), "^(?P<kind>[^+@]+)\\+(?P<campaign>[^@]+)@(.*)$");
  if (errstr != nil) then
    print("pattern", errstr, errnum);
  elseif (matches != nil) then
    vctx:set(msys.core.VCTX_MESS, "smtpapi_campaign_id", matches["campaign"]);
    vctx:set(msys.core.VCTX_MESS, "smtpapi_tags", "[\"" .. matches["kind"] .. "\", \"" .. matches[3] .. "\"]");
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("pcre_match", mod);
