-- Metadata of a mail, from REST or from a field, decides its pool.
local core = require('msys.core')
local extmsg = require("msys.extended.message")

local mod = {};

local MSG_CTX = core.ECMESS_CTX_MESS

local function get_pool(msg)
  local pool;
  local metadata = msg:context_get(MSG_CTX, "mo_rcpt_meta");
  if metadata and metadata ~= "" then
    local decoded = json.decode(metadata);
    if decoded then
      pool = decoded.pool;
    end
  end
  if not pool then
    local hdr = msg:header("X-Pool")
    if hdr ~= nil and hdr[1] ~= nil then
      pool = hdr[1];
    end
  end
  return pool;
end

function mod:msg_gen_data_spool(msg)
  msg:context_set(msys.core.ECMESS_CTX_CONN, "can_relay", "true")
  return msys.core.VALIDATE_CONT
end

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  local pool = get_pool(msg);
  if pool then
      msg:context_set(MSG_CTX, "binding_group", pool)
  end
  return msys.core.VALIDATE_CONT
end

msys.registerModule("rest_metadata", mod);
