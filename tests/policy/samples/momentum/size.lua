-- A limit for mail that the application makes too large.
local mod = {};
function mod:validate_data (msg, accept, vctx)
  if msg:get_message_size() > 2000 then
    vctx:set_code(552, "5.3.4 Message size exceeds fixed maximum message size");
  end;
 return msys.core.VALIDATE_DONE;
end
msys.registerModule("data", mod);
