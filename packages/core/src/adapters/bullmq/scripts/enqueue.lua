--[[
  Adds a batch of jobs, of any lanes.
  ARGV[2]  "1": one refused job refuses all
  ARGV[3]  queues a tenant can have
  ARGV[4]  "" or the schedule that fires, `tenant name`; ARGV[5] its due time; ARGV[6] its next one or "".
           "outbox": events are settled; ARGV[5] the oldest; ARGV[6] the last of them
  ARGV[7]  "" or the idempotency key, `tenant:key`; ARGV[8] its note; ARGV[9] how long its answer is kept, ms
  ARGV[10] count of jobs, then for each
           tenant.queue, "1" if typed, priority, "1" if lifo, delay ms, ttl ms or "", data, name, opts (JSON),
           unique key or "", dependencies: ids and, as `s<n>`, places in this batch, joined by ","; count of further
           fields of its hash, and those
  Result   "missed" where the schedule had moved, or the oldest event is another; else the first id, then for each
           refused job its place (from 0) and why: "duplicate <id>" (or "duplicate", of a job in the same atomic batch),
           "queues", "full <limit>", "sibling <n>", "dependencies <ids>". Ids rise with the places.
           Where the key is known: "repeated" and its answer as `recall` tells it.
  Invariant: as an atomic batch either all jobs are added or none; a schedule moves exactly when its job is tried.
]]
--- @include "transitions"
--- @include "payload-paths"
--- @include "answers"

if ARGV[7] ~= "" then
  local kept = keptAnswer(ARGV[7])
  if kept then return { "repeated", kept } end
end

local atomic = ARGV[2] == "1"
local schedule = ARGV[4]

if schedule == "outbox" then
  local oldest = rcall("XRANGE", p .. "outbox", "-", "+", "COUNT", 1)[1]
  if not oldest or oldest[1] ~= ARGV[5] then return "missed" end
  local ms, n = string.match(ARGV[6], "^(%d+)-(%d+)$")
  rcall("XTRIM", p .. "outbox", "MINID", ms .. "-" .. string.format("%.0f", tonumber(n) + 1))
elseif schedule ~= "" then
  if rcall("HGET", p .. "scheduleDue", schedule) ~= ARGV[5] then return "missed" end
  rcall("HSET", p .. "scheduleDue", schedule, ARGV[6])
  rcall("HSET", p .. "scheduleLast", schedule, ARGV[5])
  rcall("HSET", p .. "scheduleVersion", schedule, rcall("INCR", p .. "scheduleVersions"))
end

local count = tonumber(ARGV[10])
if count == 0 then return {} end
local jobs = {}
local at = 11
for i = 0, count - 1 do
  local extra = tonumber(ARGV[at + 11])
  jobs[i] = at
  at = at + 12 + extra
end

local refused = {}
local refusals = 0
local checked = {}
local held = {}
local parentsOf = {}
-- Jobs depended upon, looked up once.
local known = {}

-- Refused for want of room: there may be some next time.
local crowded = false

local function refuse(i, why)
  refused[i] = why
  refusals = refusals + 1
end

-- The group that a job belongs to, whether or not its lane is there yet.
local groupNames = {}

local function groupFor(name)
  local lane = laneNamed(name)
  if lane then return groupOf(lane) end
  local tenant = string.match(name, "^[^.]*")
  local queue = string.sub(name, #tenant + 2)
  if groupNames[queue] == nil then groupNames[queue] = rcall("HGET", p .. "groupOf", queue) end
  return groupNamed(tenant, groupNames[queue])
end

-- Whether a job can be added, judged before anything is written.
local function check(i)
  if checked[i] then return end
  checked[i] = true
  local from = jobs[i]
  local dependencies = ARGV[from + 10]
  if dependencies ~= "" then
    local tenant = string.match(ARGV[from], "^[^.]*")
    local hopeless = {}
    local parents = {}
    for sibling, id in string.gmatch(dependencies, "(s?)(%d+)") do
      if sibling == "s" then
        check(tonumber(id))
        if refused[tonumber(id)] then return refuse(i, "sibling " .. id) end
        parents[#parents + 1] = { sibling = tonumber(id) }
      else
        local parent = known[id]
        if parent == nil then
          parent = findJob(id, "*") or false
          known[id] = parent
        end
        if not parent or parent.lane.tenant ~= tenant or parent.st == "x" then hopeless[#hopeless + 1] = id
        else parents[#parents + 1] = { job = parent } end
      end
    end
    if #hopeless > 0 then return refuse(i, "dependencies " .. table.concat(hopeless, ",")) end
    parentsOf[i] = parents
  end
  local unique = ARGV[from + 9]
  if unique ~= "" then
    local key = ARGV[from] .. " " .. unique
    local holder = held[key] or rcall("HGET", p .. ARGV[from] .. ":unique", unique)
    if holder then return refuse(i, "duplicate " .. holder) end
  end
  local group = groupFor(ARGV[from])
  if group and group.maxUnfinished then
    group.room = group.room or roomLeft(group)
    if group.room <= 0 then
      crowded = true
      return refuse(i, "full " .. group.maxUnfinished)
    end
    group.room = group.room - 1
  end
  if unique ~= "" then held[ARGV[from] .. " " .. unique] = "#" .. i end
end

if count > 1 then
  local names, wanted = {}, {}
  for i = 0, count - 1 do
    local name = ARGV[jobs[i]]
    if not wanted[name] then
      wanted[name] = true
      names[#names + 1] = name
    end
  end
  loadLanes(names)
end

local news = {}
local newQueues = {}
for i = 0, count - 1 do
  local name = ARGV[jobs[i]]
  if news[name] == nil then
    news[name] = laneNamed(name) == nil
    if news[name] then
      local tenant = string.match(name, "^[^.]*")
      newQueues[tenant] = newQueues[tenant] or rcall("SCARD", p .. "queues:" .. tenant)
      if newQueues[tenant] >= tonumber(ARGV[3]) then news[name] = "full"
      else newQueues[tenant] = newQueues[tenant] + 1 end
    end
  end
  if news[name] == "full" then
    checked[i] = true
    crowded = true
    refuse(i, "queues")
  end
end
for i = 0, count - 1 do check(i) end

local firstId = tonumber(rcall("GET", p .. "id") or 0) + 1
local answer = { firstId }
for i = 0, count - 1 do
  if refused[i] then
    answer[#answer + 1] = i
    -- A holder in this batch is told by its id, unless it has none as all are refused.
    local holder = string.match(refused[i], "#(%d+)")
    answer[#answer + 1] = not holder and refused[i] or atomic and "duplicate" or "duplicate " .. firstId + tonumber(holder)
  end
end
local nothing = refusals == count or (atomic and refusals > 0)
if ARGV[7] ~= "" and not (nothing and crowded) then
  keepAnswer(ARGV[7], ARGV[9], count, ARGV[2], ARGV[8], answer)
end
if nothing then return answer end
rcall("INCRBY", p .. "id", count)

--- @include "lane"

-- Jobs that go to the end of `wait`, pushed together.
local pushes = {}
local dependents = {}
local laneNos = {}

local function push(lane)
  local members = pushes[lane.name]
  if members then
    many("LPUSH", lane.key .. "wait", members)
    pushes[lane.name] = nil
  end
end

local function add(i)
  local from = jobs[i]
  local id = firstId + i
  local lane = laneNamed(ARGV[from]) or newLane(ARGV[from], ARGV[from + 1] == "1")
  touch(lane)
  local priority = tonumber(ARGV[from + 2])
  local lifo = ARGV[from + 3] == "1"
  local delay = tonumber(ARGV[from + 4])
  local member = "j" .. id
  local key = lane.key .. member
  local extra = tonumber(ARGV[from + 11])
  rcall("HSET", key, "name", ARGV[from + 7], "data", ARGV[from + 6], "opts", ARGV[from + 8],
    "timestamp", nowText, "delay", ARGV[from + 4], "priority", ARGV[from + 2],
    unpack(ARGV, from + 12, from + 11 + extra))
  local job = { id = id, lane = lane, key = key, member = member, priority = priority, lifo = lifo }

  local ttl = ARGV[from + 5]
  if ttl ~= "" then
    local expireAt = now + tonumber(ttl)
    rcall("HSET", key, "ex", expireAt)
    rcall("ZADD", lane.key .. "expiry", expireAt, member)
    addDue("x" .. lane.name, expireAt)
  end
  local unique = ARGV[from + 9]
  if unique ~= "" then rcall("HSET", lane.key .. "unique", unique, id) end

  local pending = false
  local parents = parentsOf[i]
  if parents then
    local ids, left = {}, {}
    for _, parent in ipairs(parents) do
      local parentId, parentKey
      if parent.job then
        parentId, parentKey = parent.job.id, parent.job.key
      else
        parentId = firstId + parent.sibling
        parentKey = p .. ARGV[jobs[parent.sibling]] .. ":j" .. parentId
      end
      ids[#ids + 1] = parentId
      if not parent.job or parent.job.st ~= "c" then left[#left + 1] = parentKey end
      local of = dependents[parentId]
      if of == nil then
        of = {}
        dependents[parentId] = of
        rcall("HSET", parentKey, "dn", "1")
      end
      of[#of + 1] = id
      of[#of + 1] = lane.name .. ":" .. member
    end
    if #left > 0 then
      pending = true
      many("SADD", key .. ":dependencies", left)
    end
    rcall("HSET", key, "dp", table.concat(ids, ","))
  end

  laneNos[i] = bytesOf(lane.no) .. factByte(pending and "b" or delay > 0 and "d" or "w", priority)
  lane.filled = lane.filled or not (pending or delay > 0)
  if pending then
    rcall("HSET", key, "st", "b", "ra", now + delay)
    rcall("ZADD", lane.key .. "waiting-children", now, member)
  elseif delay > 0 then
    makeDelayed(job, now + delay)
  elseif priority ~= 0 then
    rcall("ZADD", lane.key .. "prioritized", scoreOf(job), member)
  elseif lifo then
    rcall("HSET", key, "or", -rcall("INCR", lane.key .. "pc"))
    rcall("RPUSH", lane.key .. "wait", member)
  else
    local members = pushes[lane.name]
    if members == nil then
      members = {}
      pushes[lane.name] = members
    end
    members[#members + 1] = member
  end
  local inFile = false
  for f = from + 12, from + 11 + extra, 2 do
    if ARGV[f] == "pj" then
      job.project = ARGV[f + 1]
    elseif ARGV[f] == "df" then
      inFile = true
      rcall("SADD", p .. "files", cjson.decode(ARGV[from + 6]).file)
    elseif ARGV[f] == "lb" then
      for _, label in ipairs(cjson.decode(ARGV[f + 1])) do
        rcall("SETBIT", labelSet(lane, label, math.floor(id / BUCKET)), id % BUCKET, 1)
      end
    end
  end
  if lane.paths and not inFile then indexPayload(lane, id, "data", ARGV[from + 6]) end
  tally(job, ADDED)
  tell("job.pushed", lane, id)
end

for i = 0, count - 1 do
  if refused[i] then
    laneNos[i] = "\0\0\0\0"
    rcall("INCR", p .. "ids:" .. math.floor((firstId + i) / BUCKET) .. ":gone")
  else
    add(i)
  end
end
for name in pairs(pushes) do push(laneNamed(name)) end
for parent, children in pairs(dependents) do many("ZADD", p .. "dependents:" .. parent, children) end

-- Where each id's lane is found: one write per bucket.
local i = 0
while i < count do
  local id = firstId + i
  local last = math.min(count - 1, i + BUCKET - 1 - id % BUCKET)
  rcall("SETRANGE", p .. "ids:" .. math.floor(id / BUCKET), (id % BUCKET) * 4, table.concat(laneNos, "", i, last))
  markCreated(math.floor(id / BUCKET), nowText, nowText)
  i = last + 1
end

settle()
return answer
