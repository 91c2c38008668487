-- Who may send what: the older idioms, with C names, semicolons and runInPool.
require('msys.core');
require('msys.threadpool');

local mod = {};

local function sender_domain(ctx)
  local localpart, domain = msys.core.string_new(), msys.core.string_new();
  ctx.ec_message:get_envelope2(msys.core.EC_MSG_ENV_FROM, localpart, domain);
  return tostring(domain);
end

function mod:init()
  return true;
end

function mod:validate_connect(accept, vctx)
  if string.match(accept.remote_addr, "^192%.0%.2%.") then
    vctx:disconnect(421, "4.7.0 Not from here");
    return msys.core.VALIDATE_DONE;
  end
  return msys.core.VALIDATE_CONT;
end

function mod:validate_rcptto(msg, str, accept, vctx)
  local rcpt = string.match(tostring(str), "^RCPT TO:<(.*)@");
  if rcpt == "nobody" then
    vctx:set_code("550", "5.1.1 No such user");
  end
  return msys.core.VALIDATE_CONT;
end

function mod:validate_data(msg, accept, vctx)
  local status, wanted = msys.runInPool("IO", function () return #msg:header("Message-ID") end);
  if !status or wanted == 0 then
    vctx:set_code(550, "5.6.0 Message-ID wanted");
    return msys.core.VALIDATE_DONE;
  end
  msys.core.ec_message_context_set(msg, msys.core.ECMESS_CTX_MESS, "sender_domain", sender_domain({ ec_message = msg }));
  return msys.core.VALIDATE_CONT;
end

function mod:validate_set_binding(msg)
  msg:binding("generic");
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("gate", mod);
