--[[
  Puts waiting jobs behind those that have a place already.
  ARGV[2.] see `filling`
  ARGV[6.] for each job tenant.queue, id, priority
]]
--- @include "transitions"
--- @include "filling"

local waits, prioritized = {}, {}
while at < #ARGV do
  local lane = laneNamed(take())
  local id, priority = take(), tonumber(take())
  if priority == 0 then
    waits[lane.name] = waits[lane.name] or {}
    table.insert(waits[lane.name], "j" .. id)
  else
    prioritized[lane.name] = prioritized[lane.name] or {}
    -- In the order of the places, whatever made it.
    table.insert(prioritized[lane.name], scoreOf({ lane = lane, priority = priority, lifo = false }))
    table.insert(prioritized[lane.name], "j" .. id)
  end
  lane.filled = true
  touch(lane)
end
for name, members in pairs(waits) do many("LPUSH", laneNamed(name).key .. "wait", members) end
for name, pairs_ in pairs(prioritized) do many("ZADD", laneNamed(name).key .. "prioritized", pairs_) end
settle()
return "ok"
