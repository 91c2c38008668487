-- What the application writes into X-Order becomes engagement metadata, the recipient's plan added.
require("msys.core")
require("msys.extended.message")
require("json")

local mod = {}

local plans = { ["vip.example"] = "gold" }

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  local mctx = msys.core.VCTX_MESS
  local order = msg:header("X-Order")[1]
  if order == nil then
    return msys.core.VALIDATE_CONT
  end
  local data, code, err = json.decode(order)
  if not data then
    msys.log(msys.core.LOG_WARNING, "X-Order: " .. err)
    return msys.core.VALIDATE_CONT
  end
  local _, _, domain = string.find(msg:rcptto(), "@(.+)$")
  data.plan = plans[domain] or "basic"
  data.codes = json.encode({ 1, 2, 3 })
  msg:context_set(mctx, "smtpapi_metadata", tostring(data))
  return msys.core.VALIDATE_CONT
end

msys.registerModule("metadata", mod)
