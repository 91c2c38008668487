-- Functions and numbers as Lua 5.1 has them.
require("msys.core");

local mod = {};

local function count(...)
  return arg.n;
end

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  local ctx = msys.core.ECMESS_CTX_MESS;
  local seen = {};
  table.foreach({ open = "1", click = "0" }, function(name, value)
    seen[#seen + 1] = name .. "=" .. value;
  end);
  table.sort(seen);
  msg:context_set(ctx, "seen", table.concat(seen, " "));
  msg:context_set(ctx, "smtpapi_tracking_link_expiry", tostring(365 * 86400 / 2));
  msg:context_set(ctx, "half", "n=" .. 10 / 2);
  msg:context_set(ctx, "length", table.getn(seen) .. "/" .. table.maxn({ [7] = true }));
  msg:context_set(ctx, "arguments", count("a", nil, "c"));
  local words = {};
  for word in string.gfind("one two", "%a+") do
    table.insert(words, word);
  end
  msg:context_set(ctx, "words", #words);
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("old_library", mod);
