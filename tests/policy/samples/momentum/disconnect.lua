-- Ends the session of one sender, with the words that the documents use.
require("msys.core");
require("msys.extended.message");
require("msys.extended.vctx");

local mod = {};

function mod:validate_mailfrom(str, accept, vctx)
  str = tostring(str);
  if (string.find(str, "gone@shop\.example") != nil) then
    print("Disconnecting " .. str);
    vctx:disconnect(421, "4.7.0 Closing");
  return msys.core.VALIDATE_DONE;
end

return msys.core.VALIDATE_CONT;
end

msys.registerModule("disconnect", mod);
