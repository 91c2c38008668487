-- Tracks only mail whose author and envelope are of one domain.
require("msys.core");
require("msys.extended.message");

local mod = {};

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  local from = msg:address_header("From", "domain");
  local envelope = msys.parseRFC2822Addresses("<" .. msg:mailfrom() .. ">", "domain");
  local aligned = #from == 1 and from[1]:lower() == envelope[1]:lower();
  local value = aligned and "1" or "0";
  for _, option in ipairs({ "open", "click" }) do
    msg:context_set(msys.core.VCTX_MESS, "smtpapi_" .. option .. "_tracking", value);
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("aligned", mod);
