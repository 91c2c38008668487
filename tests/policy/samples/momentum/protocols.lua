-- Scans what comes from phones, and says of other mail how it came.
require('msys.core');
require('msys.extended.message');
require('msys.av');

local mod = {};
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  if msg.recv_method == msys.core.P_MM7 or msg.recv_method == msys.core.P_SMPP then
    local rc, result, engine = msys.av.scan('scanner', msg, vctx);
    print("scanned:", rc, result, engine);
  elseif ac.protocol == msys.core.P_ESMTP then
    msg:context_set(msys.core.VCTX_MESS, "came_by", "esmtp");
  end
  return msys.core.VALIDATE_CONT;
end
msys.registerModule('protocols', mod);
