-- Only logs deliveries and failures; a message's id is read where there is one.
local core = require("msys.core");
local em = require("msys.extended.message");

local mod = {}

function mod:core_log_delivery_v1(msg, dr, now, note, notelen)
  local reason = note
  if reason == nil or #reason == 0 then
    reason = msg:get_code();
  end
  print ("delivered", msg.id, reason);
end

function mod:core_log_transient_failure_v1(msg, domain, now, note, note_len)
  msg:context_set(core.ECMESS_CTX_MESS, "last_failure", msg:get_code());
end

function mod:core_pre_msg_each_rcpt(msg, ac)
  local from = msg:header("reply-to");
  if from ~= nil and from[1] ~= nil then
    debug.output('reply to: ' .. tostring(from[1]))
  end
end

msys.registerModule('delivery_log', mod)
