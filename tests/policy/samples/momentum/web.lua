-- Delivers to a web service: work of the server that delivers, none of a proxy's.
local core = require 'msys.core'
local http = require 'msys.http_lua'
local json = require 'json'

local mod = {}

function mod:build_request(session)
    local data = json.new()
    data.type = "msg"
    session:request_add_header("Content-Type", "application/json", 0);
    print("sending", tostring(json.encode(data)))
end

http.registerModule('web', mod)
