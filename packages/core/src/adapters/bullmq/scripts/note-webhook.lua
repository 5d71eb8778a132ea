--[[ ARGV[2]  id; ARGV[3] its health (JSON) ]]
--- @include "hooks"

local record = rcall("HGET", p .. "webhooks", ARGV[2])
if not record then return end
rcall("HSET", p .. "webhookHealth", ARGV[2], ARGV[3])
rehook(string.match(record, "^%d+ (%S+) "))
