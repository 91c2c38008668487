module("inbound.sizes", package.seeall);

require("msys.core");

inbound.sizes.conf = {
  max_bytes = 2000,
  code = 552,
  text = "5.3.4 Message too large, at most %d bytes",
};

local conf = inbound.sizes.conf;

function active_for_phase(phase)
  return phase == "init" or phase == "spool";
end

function init()
  started = (started or 0) + 1; -- a global of this module alone
end

function check(self, phase, ac, vctx, msg, str)
  vctx:set(msys.core.VCTX_CONN, "started", started);
  if msg:get_message_size() > conf.max_bytes then
    return false, conf.code, string.format(conf.text, conf.max_bytes), false;
  end
  return true;
end
