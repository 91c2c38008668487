-- Mail whose Message-ID names a domain that has left us goes to nobody.
require("msys.core");
require("msys.extended.message");
require("msys.pcre");
require("msys.dumper");

local mod = {};

function mod:validate_data(msg, acc, vctx)
local id = msg:header('Message-ID');
local shown = (msys.dumper.Dumper(id[1]));
local parts = msys.pcre.split(shown,"@");
local domain=tostring(parts[2]);
if (string.sub(domain,1,12) == "left.example") then
msg:discard ("550 5.7.0 discarded: its sender has left");
end;
return msys.core.VALIDATE_DONE;
end;

msys.registerModule("data", mod);
