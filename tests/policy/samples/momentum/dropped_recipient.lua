-- Mail to a test domain is taken and dropped, for that recipient alone.
require("msys.core");
require("msys.extended.message");
require("msys.extended.message_routing");

local mod = {};
function mod:validate_rcptto(msg, str, accept, vctx)
    local recipient = msg:rcptto();
    local matches, errstr, errnum = msys.pcre.match(recipient, "(?P<localpart>[^@]+)@(?P<domain>[^>]+)")
    if (matches != nil) then
        domain = matches["domain"]
        if (domain == "dropped.example") then
            msg:discard("QA: Discarding message before it can be sent");
            print ("QA: Dropping message to ", recipient);
            return msys.core.VALIDATE_DONE;
        end
    end
    print ("QA: Sending message to ", recipient);
    return msys.core.VALIDATE_CONT;
end

msys.registerModule("dropped_recipient", mod);
