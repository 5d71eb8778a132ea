--[[
  ARGV[2]  tenant or "*"; ARGV[3] id
  Result   how many were deleted
]]
--- @include "hooks"

local old = rcall("HGET", p .. "webhooks", ARGV[3])
if not old then return 0 end
local owner = string.match(old, "^%d+ (%S+) ")
if ARGV[2] ~= "*" and owner ~= ARGV[2] then return 0 end
rcall("HDEL", p .. "webhooks", ARGV[3])
rcall("HDEL", p .. "webhookHealth", ARGV[3])
rehook(owner)
return 1
