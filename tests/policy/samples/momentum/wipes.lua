-- Clears what an earlier session may have left in `self`, then counts the recipients of this one.
require("msys.core");

local mod = {};

local function purge_self(self)
  for k, v in pairs(self) do
    self[k] = nil;
  end
end

function mod:validate_connect(ac, vctx)
  purge_self(self);
  return msys.core.VALIDATE_CONT;
end

function mod:validate_rcptto(msg, str, ac, vctx)
  self.recipients = (self.recipients or 0) + 1;
  vctx:set(msys.core.VCTX_CONN, "recipients", self.recipients);
  return msys.core.VALIDATE_CONT;
end

function mod:validate_dealloc()
  purge_self(self);
end

msys.registerModule("wipes", mod);
