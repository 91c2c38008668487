-- The root of a policy that is kept in modules, each with its own conditions.
require("msys.core");
require("msys.extended.vctx");
require("msys.extended.ac");

local policies = {
  "inbound.sizes",
  "inbound.senders",
};

local loaded = {};

for k, v in ipairs(policies) do
  table.insert(loaded, require(v));
end;

local mod = {}

function mod:init()
  for k, v in ipairs(loaded) do
    if v.active_for_phase("init") then
      v.init();
    end
  end
  return true;
end

local function call_policy(self, phase, ac, vctx, msg, str)
  for k, v in ipairs(loaded) do
    if v.active_for_phase(phase) then
      local continue, code, text, disconnect = v.check(self, phase, ac,
                                                       vctx, msg, str);
      if not continue then
        vctx:set_code(code, text);
        if disconnect then
          vctx:disconnect(code, text);
        end
        return false;
      end
    end
  end
  return true;
end

function mod:validate_mailfrom(str, ac, vctx)
  local msg = msys.core.accept_construct_get_message_construct(ac).message;
  if not call_policy(self, "mailfrom", ac, vctx, msg, str) then
    return msys.core.VALIDATE_DONE;
  end
  return msys.core.VALIDATE_CONT;
end

function mod:validate_data_spool(msg, ac, vctx)
  if not call_policy(self, "spool", ac, vctx, msg, nil) then
    return msys.core.VALIDATE_DONE;
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("modular", mod);
