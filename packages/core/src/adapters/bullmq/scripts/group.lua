--[[
  Says which queues share limits, for all processes. The limits lie in one place; a lane knows its group's name.
  ARGV[2]  the groups (JSON): name, queues, maxRunning and maxUnfinished, each absent where there is none
  Invariant: a lane carries the name of its queue's group.
]]
--- @include "transitions"

local key = p .. "groups"
if (rcall("HGET", key, "*") or "[]") == ARGV[2] then return "same" end
local concerned = {}
for _, queue in ipairs(rcall("HKEYS", p .. "groupOf")) do concerned[queue] = true end
rcall("DEL", key, p .. "groupOf")
rcall("HSET", key, "*", ARGV[2])
for _, group in ipairs(cjson.decode(ARGV[2])) do
  rcall("HSET", key, group.name, cjson.encode(group))
  for _, queue in ipairs(group.queues) do
    rcall("HSET", p .. "groupOf", queue, group.name)
    concerned[queue] = group.name
  end
end
for _, tenant in ipairs(rcall("SMEMBERS", p .. "tenants")) do
  for queue, name in pairs(concerned) do
    local lane = laneNamed(tenant .. "." .. queue)
    if lane then
      lane.groupName = name ~= true and name or nil
      if lane.groupName then setLane(lane, "group", lane.groupName)
      else rcall("HDEL", lane.key .. "meta", "group") end
      touch(lane)
    end
  end
end
settle()
return "ok"
