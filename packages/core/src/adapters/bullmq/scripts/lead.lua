--[[
  A node stands for leadership of the upkeep.
  ARGV[2]  the instance it lives in; ARGV[3] the node; ARGV[4] how long it lasts, ms
  Result   "1" if it leads
]]
--- @include "base"
--- @include "leadership"

return standFor(ARGV[2], ARGV[3], tonumber(ARGV[4])) and "1" or "0"
