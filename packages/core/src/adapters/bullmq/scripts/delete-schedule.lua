--[[
  ARGV[2]  tenant or "*"; ARGV[3] name
  Result   how many were deleted
]]
--- @include "base"

local gone = 0
for _, tenant in ipairs(ARGV[2] == "*" and rcall("SMEMBERS", p .. "scheduleTenants") or { ARGV[2] }) do
  local field = tenant .. " " .. ARGV[3]
  gone = gone + rcall("HDEL", p .. "schedules", field)
  rcall("HDEL", p .. "scheduleDue", field)
  rcall("HDEL", p .. "scheduleLast", field)
  rcall("HDEL", p .. "scheduleVersion", field)
end
return gone
