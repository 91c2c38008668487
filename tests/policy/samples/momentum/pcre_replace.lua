-- The campaign is the subject without marks such as "[Spring]" and without spaces.
require("msys.core");
require("msys.pcre");

local mod = {};

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  local subject = table.concat(msg:header("Subject"));
  local plain = msys.pcre.replace(subject, "\\[[^\\]]*\\]\\s*", "");
  plain = msys.pcre.replace(plain, "(\\w+)\\s+(\\w+)", "$2-$1");
  if msys.pcre.match(plain, "(?i)^re:") then
    return msys.core.VALIDATE_CONT;
  end
  msg:context_set(msys.core.ECMESS_CTX_MESS, "smtpapi_campaign_id", string.lower(plain));
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("pcre_replace", mod);
