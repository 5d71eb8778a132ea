--[[
  Stands for leadership of the upkeep.
  ARGV[2]  this instance; ARGV[3] the node that asks, "" when the instance asks for itself; ARGV[4] how long it lasts, ms
  Result   "1" if the one who asks leads, and the time
  Invariant: one instance leads at a time, through at most one node.
]]
--- @include "base"

local key = p .. "leader"
local l = rcall("HMGET", key, "instance", "node", "until", "nodeUntil")
local lasts = tonumber(ARGV[4])
local instance, node = l[1], l[2]
if not l[3] or tonumber(l[3]) <= now then instance = false end
if not instance or not l[4] or tonumber(l[4]) <= now then node = false end
if instance and instance ~= ARGV[2] then return { "0", now } end
if ARGV[3] == "" then
  rcall("HSET", key, "instance", ARGV[2], "node", node or "", "until", now + lasts)
  return { "1", now }
end
if node and node ~= "" and node ~= ARGV[3] then return { "0", now } end
rcall("HSET", key, "instance", ARGV[2], "node", ARGV[3], "until", now + lasts, "nodeUntil", now + lasts)
return { "1", now }
