-- Answers of one machine are dropped.
require("msys.core");

local mod = {};

function mod:validate_data(msg, acc, vctx)
   local from = msg:mailfrom();
   if from == "robot@shop.example" then
     msg:discard ("550 5.7.0 discarded: a robot's");
   end;
  return msys.core.VALIDATE_DONE;
end;

msys.registerModule("data", mod);
