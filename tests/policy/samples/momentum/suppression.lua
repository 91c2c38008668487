-- Asks a database, which is not here: this file fails, and its error names the function.
local db = require("msys.db")
local ds = require("msys.datasource");
local core = require 'msys.core'

local mod = {}

local function is_suppressed(address)
    local rowset, err = msys.db.query("preferences", [[
        SELECT 1 FROM suppressed WHERE address = ? LIMIT 1]], { address }, {});
    return rowset != nil
end

function mod:validate_rcptto(msg, str, accept, vctx)
    vctx:set(core.VCTX_MESS, "asked", "1")
    if is_suppressed(string.lower(msg:rcptto())) then
         vctx:set_code(550, "5.7.1 suppressed");
    end
    return core.VALIDATE_CONT
end

msys.registerModule('suppression', mod)
