-- Where mail goes out and how it is tracked, by the recipient's domain.
require("msys.core");
require("msys.extended.message");
require("msys.extended.vctx");
require('msys.extended.message_routing');

local mod = {};

function mod:validate_data_spool_each_rcpt (msg, accept, vctx)
 local route = msg:routing_domain();
 local domain = msg:context_get(msys.core.ECMESS_CTX_MESS, "rcptto_domain");
        if domain == "partner.example" then
                msg:routing_domain("relay.partner.example");
                msg:context_set(msys.core.ECMESS_CTX_MESS, "SMART_HOST", "TRUE");
                msg:context_set(msys.core.ECMESS_CTX_MESS, "smtpapi_click_tracking", "0");
        else
                 msg:context_set(msys.core.ECMESS_CTX_MESS, "SMART_HOST", "FALSE");
        end
return msys.core.VALIDATE_CONT;
end

function mod:validate_set_binding(msg)
 if (msg:context_get(msys.core.ECMESS_CTX_MESS, "SMART_HOST")) == "TRUE" then
        msg:binding("SMARTHOST");
 else
        msg:binding_group("default");
 end
return msys.core.VALIDATE_CONT;
end

msys.registerModule("routing", mod);
