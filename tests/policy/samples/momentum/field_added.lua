-- Mail without a class gets one, so that reports downstream can group it.
require("msys.core");
require("msys.extended.message");

local mod = {};

function mod:validate_data_spool(msg, accept, vctx)
  local class = msg:header("X-Class");
  if (#class == 0) then
    msg:header("X-Class", "other");
    msg:header("X-Note", { "no class given", "set by policy" }, "append");
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("field_added", mod);
