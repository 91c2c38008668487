-- A return path and an unsubscribe address of its own for each recipient.
require("msys.core");
require("msys.extended.message");

local mod = {};

function split_at(address)
  local parts = {};
  for part in address:gmatch("([^@]+)") do
    table.insert(parts, part);
  end
  return parts;
end

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  local list = unpack(msg:header("List-Unsubscribe"));
  local to = split_at(msg:rcptto());
  local from = split_at(msg:mailfrom());
  local key = to[1] .. "=" .. to[2];

  msg:mailfrom(from[1] .. "-" .. key .. "@" .. from[2]);
  if list == nil then
    msg:header("List-Unsubscribe", "<mailto:leave-" .. key .. "@leave.shop.example?subject=Leave>");
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("unsubscribe", mod);
