-- The functions of the policy editor, which came before the methods of `msg`.
require("msys.policyeditor");
require("msys.core");
local mod = {};

function mod:validate_data_spool_each_rcpt(msg)
  local ctx = {
    ec_message = msg,
  };
  local vars = {};
  local sender = msys.policyeditor.get_mailfrom(ctx, {}, {});
  msys.policyeditor.pcre_match(ctx, vars, { subject = sender, pattern = "(?P<user>(\\w+\\.)*\\w+)@(?P<domain>.*)" });
  if (vars["$domain"]) then
    msg:context_set(msys.core.ECMESS_CTX_MESS, "brand", vars["$domain"]);
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("editor", mod);
