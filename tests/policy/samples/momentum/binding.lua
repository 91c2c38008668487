-- Only chooses the address that mail leaves from.
local mod = {};
require("msys.core");
require("msys.extended.message");

local mctx = msys.core.ECMESS_CTX_MESS;

function mod:validate_set_binding(msg, accept, vctx)
    local binding = msg:context_get(mctx, "binding");
    if msys.core.config_get_binding_id_from_name(binding) >= 0 then
       msg:binding(binding);
    else
       msg:binding("fallthrough");
    end
    return msys.core.VALIDATE_DONE;
end

msys.registerModule('validate_set_binding', mod);
