module("inbound.senders", package.seeall);
function active_for_phase(phase)
  if phase == "mailfrom" then
    return true;
  end
  return false;
end

function check(self, phase, ac, vctx, msg, str)
  local mailfrom = msg:mailfrom();

  if mailfrom ~= nil then
    local localpart, domain = string.match(mailfrom, "(.+)@(.+)");
    if domain == "stranger.example" then
      return false, 554, "5.7.1 Not a domain of ours", true;
    end
  end
  return true;
end
