-- Rules are a small text of their own, which is read as Lua with nothing but its own words.
require("msys.core");

local rules = {};
local words = {
  track = function(class) rules[class] = "1"; end,
  leave = function(class) rules[class] = "0"; end,
};

local chunk = assert(loadstring([[
  track "newsletter"
  leave "invoice"
]], "rules"));
setfenv(chunk, words);
chunk();

local mod = {};

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  local rule = rules[msg:header("X-Class")[1]];
  if rule then
    msg:context_set(msys.core.ECMESS_CTX_MESS, "smtpapi_click_tracking", rule);
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("rules", mod);
