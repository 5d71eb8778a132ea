--[[
  Makes a lane if need be, and changes its settings, which lie where BullMQ keeps a queue's.
  ARGV[2]  the lane's name; ARGV[3] "1" if typed; ARGV[4] queues a tenant can have
  ARGV[5]  paused: "1", "0", or "" to leave it; ARGV[6] rate limit: a number, "none", or ""; ARGV[7] concurrency likewise
  ARGV[8]  paths to be indexed (JSON), or "" to leave them
  Result   "full", or the settings then: "1" if paused, rate limit or "", concurrency or "", indexed
           paths (JSON) or ""
]]
--- @include "transitions"
--- @include "lane"
--- @include "payload-paths"

local name = ARGV[2]
local lane = laneNamed(name)
if lane == nil then
  local tenant = string.match(name, "^[^.]*")
  if rcall("SCARD", p .. "queues:" .. tenant) >= tonumber(ARGV[4]) then return "full" end
  lane = newLane(name, ARGV[3] == "1")
end
local meta = lane.key .. "meta"
if ARGV[5] == "1" and not lane.paused then
  lane.paused = true
  setLane(lane, "paused", "1")
  tell("queue.paused", lane, 0)
elseif ARGV[5] == "0" and lane.paused then
  lane.paused = false
  rcall("HDEL", meta, "paused")
  tell("queue.resumed", lane, 0)
end
if ARGV[6] == "none" then
  lane.max = nil
  rcall("HDEL", meta, "max", "duration")
elseif ARGV[6] ~= "" then
  lane.max = tonumber(ARGV[6])
  setLane(lane, "max", ARGV[6], "duration", "1000")
end
if ARGV[7] == "none" then
  lane.concurrency = nil
  rcall("HDEL", meta, "concurrency")
elseif ARGV[7] ~= "" then
  lane.concurrency = tonumber(ARGV[7])
  setLane(lane, "concurrency", ARGV[7])
end
if ARGV[8] ~= "" then
  local wanted, kept, known = {}, {}, {}
  for _, path in ipairs(cjson.decode(ARGV[8])) do wanted[path] = true end
  for _, entry in ipairs(pathsOf(lane)) do
    if wanted[entry[1]] then
      kept[#kept + 1] = entry
      known[entry[1]] = true
    else
      -- Freed beside the other work.
      rcall("UNLINK", indexKey(lane, entry[1]))
    end
  end
  local newest = tonumber(rcall("GET", p .. "id") or 0)
  for _, path in ipairs(cjson.decode(ARGV[8])) do
    if not known[path] then
      known[path] = true
      kept[#kept + 1] = { path, 0, newest }
    end
  end
  if #kept == 0 then
    lane.paths = nil
    rcall("HDEL", meta, "paths")
  else
    lane.paths = cjson.encode(kept)
    setLane(lane, "paths", lane.paths)
    addDue("i" .. lane.name, now)
  end
end
touch(lane)
if lane.max and now < lane.windowEnd and lane.windowStarts >= lane.max then addDue("r" .. lane.name, lane.windowEnd) end
settle()
return { lane.paused and "1" or "0", lane.max and tostring(lane.max) or "", lane.concurrency and tostring(lane.concurrency) or "",
  lane.paths or "" }
