-- What one phase finds out is kept in `self` for the next, and in variables that are taken back.
require("msys.core");
require("msys.extended.vctx");

local mod = {};

function mod:validate_rcptto(msg, str, accept, vctx)
  self.recipients = (self.recipients or 0) + 1;
  vctx:set(msys.core.VCTX_MESS, "draft", "yes");
  return msys.core.VALIDATE_CONT;
end

function mod:validate_data_spool(msg, accept, vctx)
  local ctx = msys.core.ECMESS_CTX_MESS;
  local deleted, again = msg:context_delete(ctx, "draft"), msg:context_delete(ctx, "draft");
  msg:context_set(ctx, "deleted", deleted .. again .. msg:context_exists(ctx, "draft"));
  msg:context_set(ctx, "recipients", self.recipients);
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("remembers", mod);
