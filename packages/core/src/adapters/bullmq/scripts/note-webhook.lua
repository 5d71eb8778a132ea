--[[
  ARGV[2]  id; ARGV[3] its verdict (JSON), or "" for the one before; ARGV[4] how many events more were dropped
  ARGV[5]  the verdict of a webhook that nothing is known of (JSON)
]]
--- @include "hooks"

local record = rcall("HGET", p .. "webhooks", ARGV[2])
if not record then return end
local before = cjson.decode(rcall("HGET", p .. "webhookHealth", ARGV[2]) or ARGV[5])
local health = ARGV[3] == "" and before or cjson.decode(ARGV[3])
health.dropped = (before.dropped or 0) + tonumber(ARGV[4])
rcall("HSET", p .. "webhookHealth", ARGV[2], cjson.encode(health))
if ARGV[3] ~= "" then rehook(string.match(record, "^%d+ (%S+) ")) end
