-- Reads the session with macros, as scripts did before there were methods.
require("msys.core")

local mod = {};

function mod:validate_ehlo(str, accept, vctx)
  local ip = msys.expandMacro("%{i}");
  print("From " .. ip .. " received EHLO " .. msys.expandMacro("%{vctx_conn:ehlo_domain}"));
  vctx:set(msys.core.VCTX_CONN, "came_from", ip);
  return msys.core.VALIDATE_CONT;
end

function mod:validate_rcptto(msg, str, accept, vctx)
  if msys.expandMacro("%{vctx_conn:came_from}") == "10.0.0.7" and
     msys.expandMacro("%{vctx_mess:rcptto_domain}") != "example.org" then
    vctx:set_code(550, msys.expandMacro("5.7.1 %{vctx_mess:rcptto_string} is not for you"));
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("macros", mod);
