--[[
  ARGV[2]  id, or "" for a new one; ARGV[3] tenant; ARGV[4] its fields (JSON)
  Result   "unknown", or the id and when it was made
]]
--- @include "hooks"

local id, made = ARGV[2], tostring(now)
if id == "" then
  id = tostring(rcall("INCR", p .. "webhookId"))
else
  local old = rcall("HGET", p .. "webhooks", id)
  local tenant
  if old then made, tenant = string.match(old, "^(%d+) (%S+) ") end
  if tenant ~= ARGV[3] then return "unknown" end
end
rcall("HSET", p .. "webhooks", id, made .. " " .. ARGV[3] .. " " .. ARGV[4])
rcall("HDEL", p .. "webhookHealth", id)
rehook(ARGV[3])
return { id, made }
