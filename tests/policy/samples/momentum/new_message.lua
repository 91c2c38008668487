-- Tells an operator of certain mail by a message of its own.
require("msys.core")
require('msys.extended.message');

local mod = {};

function mod:validate_rcptto(msg, str, accept, vctx)
   local to = msg:rcptto();
   local parts, errstr, errnum = msys.pcre.split(to, "@");
   local notice = msys.core.ec_message_new(now);
   local headers = {};
   headers["Subject"] = "Mail to " .. parts[2];
  if parts[1] == "notify" then
     notice:build(headers, { ["text/plain"] = "There was one." }, {});
     notice:inject("robot@shop.example", "operator@shop.example");
  end

  return msys.core.VALIDATE_CONT;
end

msys.registerModule("new_message", mod);
