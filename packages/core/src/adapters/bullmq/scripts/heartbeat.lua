--[[
  A worker or node makes itself known; those silent for a day are forgotten.
  ARGV[2]  "workers" or "nodes"; ARGV[3] its key; ARGV[4] its fields (JSON)
]]
--- @include "base"

local key = p .. ARGV[2]
local old = rcall("HGET", key, ARGV[3])
local since = old and string.match(old, "^(%d+)") or tostring(now)
rcall("HSET", key, ARGV[3], since .. " " .. now .. " " .. ARGV[4])
rcall("ZADD", key .. ":heard", now, ARGV[3])
for _, silent in ipairs(rcall("ZRANGEBYSCORE", key .. ":heard", "-inf", now - 86400000, "LIMIT", 0, 100)) do
  rcall("HDEL", key, silent)
  rcall("ZREM", key .. ":heard", silent)
end
return "ok"
