--[[
  Adds jobs with the ids and the pasts that they have; waiting ones get their places by `fill-order`.
  ARGV[2.] see `filling`
  ARGV[6.] pairs of bucket and ids in it that no job has (any more), behind their count; count of jobs, then for each
           tenant.queue, id, letter of its state ("w" = waiting), when it is due, was blocked, or finished, when it
           expires or "", unique key or "", group of its errors or "", message of its last failure or "", its priority,
           when it was created, then lists, each
           behind its length: files, labels, jobs it depends on (tenant.queue, id, "1" if done), log, runs, hash
]]
--- @include "transitions"
--- @include "filling"

local SETS = { c = "completed", f = "failed", x = "cancelled" }
local sets, messages = {}, {}

local function gatherTo(lists, key, a, b)
  local list = lists[key]
  if list == nil then
    list = {}
    lists[key] = list
  end
  list[#list + 1] = a
  list[#list + 1] = b
end

local from, to = takeMany()
for i = from, to, 2 do rcall("INCRBY", p .. "ids:" .. ARGV[i] .. ":gone", ARGV[i + 1]) end

local oldest = {}
local createdIn = {}
-- Ids that follow one another, of whatever lanes, are written together.
local firstId, nextId, bytes = nil, nil, {}

local function writeIds()
  if not firstId then return end
  rcall("SETRANGE", p .. "ids:" .. math.floor(firstId / BUCKET), (firstId % BUCKET) * 4, table.concat(bytes))
  firstId, bytes = nil, {}
end

local function keepId(id, lane, st, priority)
  if id ~= nextId or id % BUCKET == 0 then writeIds() end
  if not firstId then firstId = id end
  bytes[#bytes + 1] = bytesOf(lane.no) .. factByte(st, priority)
  nextId = id + 1
end

for _ = 1, tonumber(take()) do
  local lane = laneNamed(take())
  local member = "j" .. take()
  local id = tonumber(ARGV[at])
  local key = lane.key .. member
  local st = take()
  local due, expireAt, unique, group, message = tonumber(take()), take(), take(), take(), take()
  local priority, created = tonumber(take()), tonumber(take())
  keepId(id, lane, st, priority)
  local bucket = math.floor(id / BUCKET)
  local times = createdIn[bucket]
  if times then
    times[1] = math.min(times[1], created)
    times[2] = math.max(times[2], created)
  else
    createdIn[bucket] = { created, created }
  end
  if st == "d" then
    gatherTo(sets, lane.key .. "delayed", delayedScore(lane, due), member)
    addDue("d" .. lane.name, due)
  elseif st == "b" then
    gatherTo(sets, lane.key .. "waiting-children", due, member)
  elseif SETS[st] then
    gatherTo(sets, lane.key .. SETS[st], due, member)
    local name = st .. lane.name
    if not oldest[name] or due < oldest[name][3] then oldest[name] = { st, lane.name, due } end
  end
  if expireAt ~= "" then
    rcall("ZADD", lane.key .. "expiry", expireAt, member)
    addDue("x" .. lane.name, tonumber(expireAt))
  end
  if unique ~= "" then rcall("HSET", lane.key .. "unique", unique, id) end
  if group ~= "" then
    rcall("ZADD", lane.key .. "errors:" .. group, id, id)
    rcall("ZADD", lane.key .. "errorTimes:" .. group, due, member)
    rcall("ZADD", lane.key .. "errorGroups", 0, group)
  end
  if message ~= "" then gatherTo(messages, errorHash(lane, bucket), id % BUCKET, message) end
  local first, last = takeMany()
  for i = first, last do rcall("SADD", p .. "files", ARGV[i]) end
  first, last = takeMany()
  for i = first, last do rcall("SETBIT", labelSet(lane, ARGV[i], bucket), id % BUCKET, 1) end
  first, last = takeMany()
  for i = first, last, 3 do
    local parentKey = p .. ARGV[i] .. ":j" .. ARGV[i + 1]
    rcall("HSET", parentKey, "dn", "1")
    rcall("ZADD", p .. "dependents:" .. ARGV[i + 1], id, lane.name .. ":" .. member)
    if ARGV[i + 2] ~= "1" then rcall("SADD", key .. ":dependencies", parentKey) end
  end
  first, last = takeMany()
  for i = first, last, 4000 do rcall("RPUSH", key .. ":logs", unpack(ARGV, i, math.min(i + 3999, last))) end
  first, last = takeMany()
  if last >= first then rcall("RPUSH", key .. ":runs", unpack(ARGV, first, last)) end
  first, last = takeMany()
  rcall("HSET", key, unpack(ARGV, first, last))
end
writeIds()
for key, pairs_ in pairs(sets) do many("ZADD", key, pairs_) end
for key, pairs_ in pairs(messages) do many("HSET", key, pairs_) end
for bucket, times in pairs(createdIn) do markCreated(bucket, times[1], times[2]) end
for _, each in pairs(oldest) do rcall("ZADD", p .. "oldest:" .. each[1], "LT", each[3], each[2]) end
return "ok"
