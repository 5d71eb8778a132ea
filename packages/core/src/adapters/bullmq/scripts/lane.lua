--[[ Makes a lane, which must not be there yet. ]]
local function newLane(name, typed)
  local lane = readLane(name, string.format("%.0f", rcall("INCR", p .. "laneNo")) .. (typed and "t" or ""))
  local group = rcall("HGET", p .. "groupOf", lane.queue)
  if group then
    lane.groupName = group
    setLane(lane, "group", group)
  else
    writeLane(lane)
  end
  rcall("HSET", p .. "laneNames", lane.no, name)
  rcall("SADD", p .. "queues:" .. lane.tenant, lane.queue)
  rcall("SADD", p .. "tenants", lane.tenant)
  return lane
end
