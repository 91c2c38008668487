-- A sink that answers what the mail asks for in X-Answer. Other mail gets no answer of this file's.
require("msys.dumper");
require("msys.extended.message");
require("msys.extended.vctx");

local mod = {};

function mod:validate_data_spool(msg, accept, vctx)
  local answer = msg:header("X-Answer");
  local code;

  if (answer[1] != nil) then
    local matches, errstr, errnum = msys.pcre.match(answer[1], "^\\s*(?P<code>[45]\\d{2})\\s")
    if (matches != nil) then
      code = matches["code"]
      answer[1] = msys.pcre.replace(answer[1], "^\\s*" .. code .. "\\s?", "")
    else
      code = 550
    end
    print ("answering " .. code .. " " .. answer[1]);
    vctx:set_code(code, answer[1]);
    return msys.core.VALIDATE_DONE;
  end

end

msys.registerModule("sinkhole", mod);
