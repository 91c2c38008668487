-- Says at each phase that it was there.
require("msys.core");
require("msys.dumper");
require("msys.extended.message");
require("msys.extended.vctx");

local mod = {};

local phases = {
  "validate_connect", "validate_ehlo", "validate_auth", "validate_mailfrom", "validate_rcptto",
  "validate_data", "validate_data_spool", "validate_data_spool_each_rcpt", "validate_rcptto_list",
  "validate_rcptto_list_final", "core_final_validation", "validate_set_binding",
  "core_post_msg_each_rcpt", "core_pre_mailq_message_requeue",
};

for i, phase in ipairs(phases) do
  mod[phase] = function(...)
    print("PHASE: " .. phase, select("#", ...) .. " arguments");
    return msys.core.VALIDATE_CONT;
  end;
end

msys.registerModule("all_phases", mod);
