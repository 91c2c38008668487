-- The pool that the application asks for is taken out of the mail and kept as a variable.
local mod = {};
require("msys.core");
require("msys.extended.message");

local mctx = msys.core.ECMESS_CTX_MESS;

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  local pool = msg:header( "X-Pool" )[1];
  if pool ~= nil then
    msg:context_set(mctx, "pool", pool);
  end
  msg:header("X-Pool","");
  return msys.core.VALIDATE_DONE;
end

msys.registerModule('validate_data_spool_each_rcpt', mod);
