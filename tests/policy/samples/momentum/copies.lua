-- Mail to a shop's desk goes to its archive too.
require("msys.core");
require("msys.dumper");
require("msys.extended.message");
require("msys.extended.vctx");
local mod = {};
function mod:validate_data(str, accept, vctx)
  local localpart = msys.core.string_new();
  local domain= msys.core.string_new();
  local mc = msys.core.accept_construct_get_message_construct(accept);
  local msg = mc.message;
  msg:get_envelope2(msys.core.EC_MSG_ENV_TO, localpart, domain);
  if (tostring(localpart) == "desk") then       vctx:add_recipient("archive@" .. domain.buffer);
    print ("Added the archive");
  end    local addrs = vctx:recipient_list();
  print ("Recipient list : ",msys.dumper.Dumper(addrs));
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("validate_data", mod);
