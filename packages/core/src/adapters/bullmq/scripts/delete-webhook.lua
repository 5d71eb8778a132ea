--[[
  ARGV[2]  tenant or "*"; ARGV[3] id
  Result   how many were deleted
]]
--- @include "base"

local old = rcall("HGET", p .. "webhooks", ARGV[3])
if not old then return 0 end
if ARGV[2] ~= "*" and string.match(old, "^%d+ (%S+) ") ~= ARGV[2] then return 0 end
return rcall("HDEL", p .. "webhooks", ARGV[3])
