--[[ Makes a lane, which must not be there yet. Its settings lie where BullMQ keeps a queue's. ]]
local function newLane(name, typed)
  local tenant = string.match(name, "^[^.]*")
  local no = rcall("INCR", p .. "laneNo")
  local queue = string.sub(name, #tenant + 2)
  rcall("HSET", p .. name .. ":meta", "no", no, "typed", typed and "1" or "0")
  local group = rcall("HGET", p .. "groupOf", queue)
  if group then rcall("HSET", p .. name .. ":meta", "group", group) end
  rcall("HSET", p .. "laneNames", no, name)
  rcall("SADD", p .. "queues:" .. tenant, queue)
  rcall("SADD", p .. "tenants", tenant)
  return laneNamed(name)
end
