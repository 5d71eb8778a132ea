--[[
  What every script starts with.
  KEYS[1]  prefix of all keys, hash tag included: the whole store lies in one slot, so each script is one
           atomic step over all it touches.
  ARGV[1]  engine time in epoch ms, or "": Redis' own clock.
  Invariant: a script either refuses before its first write or does all it says.
]]
local rcall = redis.call
local p = KEYS[1] .. ":"
local now = tonumber(ARGV[1])
if now == nil then
  local t = rcall("TIME")
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
-- Written once for every job: to turn a number into text costs as much as a small command.
local nowText = string.format("%.0f", now)

-- Ids per bucket of the id index, four bytes each: the lane's number in three, the lowest first, then state and priority,
-- as `job-facts.ts` has them.
local BUCKET = 1024

local lanes = {}
local lanesOfNo = {}

-- What `lanes` holds for each name: the lane's number and letters: "t" typed, "p" it has had a prioritized job (most
-- never do, and need not be asked), "s" it has settings, which lie where BullMQ keeps a queue's.
local function readLane(name, text)
  local tenant, queue = string.match(name, "^([^.]*)%.(.*)$")
  local no, letters = string.match(text, "^(%d+)(.*)$")
  local lane = {
    name = name, key = p .. name .. ":", no = tonumber(no), tenant = tenant, queue = queue, letters = letters,
    typed = false, prioritizes = false, paused = false, windowEnd = 0, windowStarts = 0,
  }
  if letters ~= "" then
    lane.typed = string.find(letters, "t", 1, true) ~= nil
    lane.prioritizes = string.find(letters, "p", 1, true) ~= nil
    if string.find(letters, "s", 1, true) then
      local m = rcall("HMGET", lane.key .. "meta", "paused", "concurrency", "max", "windowEnd", "windowStarts", "group", "paths")
      lane.paused = m[1] ~= false
      lane.concurrency = tonumber(m[2] or nil)
      lane.max = tonumber(m[3] or nil)
      lane.windowEnd = tonumber(m[4] or 0)
      lane.windowStarts = tonumber(m[5] or 0)
      lane.groupName = m[6] or nil
      lane.paths = m[7] or nil
    end
  end
  lanes[name] = lane
  lanesOfNo[lane.no] = lane
  return lane
end

-- Reads many lanes at once.
local function loadLanes(names)
  for from = 1, #names, 4000 do
    local texts = rcall("HMGET", p .. "lanes", unpack(names, from, math.min(from + 3999, #names)))
    for i, text in ipairs(texts) do
      local name = names[from + i - 1]
      if not lanes[name] then
        if text then readLane(name, text) else lanes[name] = false end
      end
    end
  end
end

-- A lane by its name, `tenant.queue`; nil where there is none.
local function laneNamed(name)
  local lane = lanes[name]
  if lane == nil then
    local text = rcall("HGET", p .. "lanes", name)
    lane = text and readLane(name, text)
    lanes[name] = lane
  end
  return lane or nil
end

local function writeLane(lane)
  rcall("HSET", p .. "lanes", lane.name, string.format("%.0f", lane.no) .. lane.letters)
end

local function markLane(lane, letter)
  if string.find(lane.letters, letter, 1, true) then return end
  lane.letters = lane.letters .. letter
  writeLane(lane)
end

-- Changes settings: fields and values.
local function setLane(lane, ...)
  markLane(lane, "s")
  rcall("HSET", lane.key .. "meta", ...)
end

local function laneOfNo(no)
  local lane = lanesOfNo[no]
  if lane == nil then
    local name = rcall("HGET", p .. "laneNames", no)
    lane = name and laneNamed(name) or false
    lanesOfNo[no] = lane
  end
  return lane or nil
end

-- Ids of one call mostly lie together: then whole buckets are read.
local together = #ARGV > 100
local buckets = {}
local bucketNo, bucketBytes

-- Number of the lane a job was put in; nil for an id that never was.
local function laneNoOf(id)
  local no = math.floor(id / BUCKET)
  local at = (id % BUCKET) * 4
  local a, b, c
  if together then
    if no ~= bucketNo then
      bucketNo = no
      bucketBytes = buckets[no] or rcall("GET", p .. "ids:" .. no) or ""
      buckets[no] = bucketBytes
    end
    a, b, c = string.byte(bucketBytes, at + 1, at + 3)
  else
    a, b, c = string.byte(rcall("GETRANGE", p .. "ids:" .. no, at, at + 2), 1, 3)
  end
  if not c then return nil end
  no = a + b * 256 + c * 65536
  return no ~= 0 and no or nil
end

local function laneOf(id)
  local no = laneNoOf(id)
  return no and laneOfNo(no)
end

-- Reads the lanes of many ids at once: ARGV[from] and each `step` further.
local function loadLanesOf(from, step)
  if not together then return end
  local nos, wanted = {}, {}
  for i = from, #ARGV, step do
    local no = laneNoOf(tonumber(ARGV[i]))
    if no and not wanted[no] then
      wanted[no] = true
      nos[#nos + 1] = no
    end
  end
  local names = {}
  for first = 1, #nos, 4000 do
    for _, name in ipairs(rcall("HMGET", p .. "laneNames", unpack(nos, first, math.min(first + 3999, #nos)))) do
      if name then names[#names + 1] = name end
    end
  end
  loadLanes(names)
end

local function bytesOf(no)
  return string.char(no % 256, math.floor(no / 256) % 256, math.floor(no / 65536))
end

-- Numbers of the states, places in `jobStates` and 1.
local CODES = { w = 1, d = 2, b = 3, a = 4, c = 5, f = 6, x = 7 }
local FARTHEST = 15

-- The fourth byte.
local function factByte(st, priority)
  return string.char((math.max(-FARTHEST, math.min(FARTHEST, priority)) + FARTHEST) * 8 + CODES[st])
end

-- What is to be written of jobs whose states have changed, by id.
local facts = {}

local function mark(id, lane, st, priority)
  if lane.bytes == nil then lane.bytes = bytesOf(lane.no) end
  facts[id] = lane.bytes .. factByte(st, priority)
end

-- Ids that follow one another are written together.
local function settleFacts()
  local ids = {}
  for id in pairs(facts) do ids[#ids + 1] = id end
  if #ids > 1 then table.sort(ids) end
  local i = 1
  while i <= #ids do
    local first = ids[i]
    local bytes = { facts[first] }
    while ids[i + 1] == ids[i] + 1 and ids[i + 1] % BUCKET ~= 0 do
      i = i + 1
      bytes[#bytes + 1] = facts[ids[i]]
    end
    rcall("SETRANGE", p .. "ids:" .. math.floor(first / BUCKET), (first % BUCKET) * 4, table.concat(bytes))
    i = i + 1
  end
end

-- Of one bucket, the jobs that have a label, a bit each.
local function labelSet(lane, label, bucket) return p .. "label:" .. lane.tenant .. ":" .. label .. ":" .. bucket end

-- Of one bucket, the messages of the jobs whose last run failed and that failed for good or may run again, by place.
local function errorHash(lane, bucket) return p .. "error:" .. lane.tenant .. ":" .. bucket end

-- Creation times of a bucket's jobs, the earliest and the latest; those that are gone included.
local function markCreated(bucket, earliest, latest)
  rcall("ZADD", p .. "ids:earliest", "LT", earliest, bucket)
  rcall("ZADD", p .. "ids:latest", "GT", latest, bucket)
end

local FIELDS = { "timestamp", "st", "run", "priority", "or", "atm", "cr", "uk", "pj", "processedOn", "ra", "lf", "dp",
  "dn", "stop", "to", "ats", "ex" }

local runs = {}

-- What the field `run` tells; jobs of one claim mostly have the same.
local function parseRun(text)
  local run = runs[text]
  if run == nil then
    local lease, mode, timeoutAt, leaseMs, startedAt, plain, owner =
      string.match(text, "^([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|(.*)$")
    run = {
      lease = lease, mode = mode, timeoutAt = tonumber(timeoutAt), leaseMs = tonumber(leaseMs),
      startedAt = tonumber(startedAt), plain = plain == "1", owner = owner,
    }
    runs[text] = run
  end
  return run
end

local function encodeRun(run)
  return table.concat({ run.lease, run.mode, run.timeoutAt or "", run.leaseMs, run.startedAt, run.plain and "1" or "", run.owner }, "|")
end

-- A job's hash as far as changes of state need it; nil when it is not there for this tenant.
local function findJob(id, tenant, lane)
  local text = type(id) == "string" and id or string.format("%.0f", id)
  id = tonumber(id)
  lane = lane or laneOf(id)
  if lane == nil or (tenant ~= "*" and tenant ~= lane.tenant) then return nil end
  local member = "j" .. text
  local key = lane.key .. member
  local f = rcall("HMGET", key, unpack(FIELDS))
  if not f[1] then return nil end
  local job = {
    id = id, text = text, lane = lane, key = key, member = member,
    createdAt = tonumber(f[1]),
    st = f[2] or "w",
    priority = tonumber(f[4]) or 0,
    ord = f[5],
    attempts = tonumber(f[6] or 0),
    crashes = tonumber(f[7] or 0),
    unique = f[8], project = f[9],
    startedAt = tonumber(f[10] or nil),
    runAt = tonumber(f[11] or f[1]),
    lifo = f[12] == "1",
    dependsOn = f[13], hasDependents = f[14] ~= false,
    stop = f[15],
    timeoutMs = tonumber(f[16] or nil),
    starts = tonumber(f[17] or 0),
    expireAt = tonumber(f[18] or nil),
  }
  if job.st == "a" then
    local run = parseRun(f[3])
    job.lease = run.lease
    job.mode = run.mode
    job.timeoutAt = run.timeoutAt
    job.leaseMs = run.leaseMs
    job.plain = run.plain
    job.owner = run.owner
  end
  return job
end

local STATES = { w = "waiting", d = "delayed", b = "blocked", a = "active", c = "completed", f = "failed", x = "cancelled" }
local FINISHED = { c = "completed", f = "failed", x = "cancelled" }

-- What is gathered while the script runs and written once at its end, by `settle`: all that can go in one command for
-- many jobs or lanes does, for what a script costs is its commands.
local touched = {}
local told = {}
local endedLeases = {}
local owners = {}
local typedRuns = {}
local dueChanged = false
local turn
-- Epoch of the event log; false while nobody listens.
local listening
-- Whether there are webhooks; what each tenant's ask for, and by event and lane whether one of them asks.
local hooked
local hooks = {}
local asked = {}
local posted = {}

-- What claims can take from the lane may have changed.
local function touch(lane) touched[lane.name] = lane end

local function isAsked(type, lane)
  local name = type .. "|" .. lane.name
  if asked[name] == nil then
    local lines = hooks[lane.tenant]
    if lines == nil then
      lines = rcall("HGET", p .. "hooks", lane.tenant)
      hooks[lane.tenant] = lines
    end
    local function has(queue, event) return string.find(lines, "\n" .. queue .. "|" .. event .. "\n", 1, true) ~= nil end
    asked[name] = lines and (has("", type) or has("", "*") or has(lane.queue, type) or has(lane.queue, "*"))
  end
  return asked[name]
end

-- An event; `more` is JSON text of what it tells beyond the job.
local function tell(type, lane, id, more)
  if listening == nil then
    local found = rcall("MGET", p .. "listening", p .. "hooked")
    listening = found[1]
    hooked = found[2]
  end
  if listening then told[#told + 1] = { type .. "|" .. now .. "|" .. id .. "|" .. lane.name, more } end
  if hooked and isAsked(type, lane) then
    posted[#posted + 1] = { type .. "|" .. now .. "|" .. id .. "|" .. lane.name, more }
  end
end

local function levelOf(priority)
  if priority <= -7 then return 0 end
  if priority < 0 then return 1 end
  if priority == 0 then return 2 end
  return 3
end

-- What happened in this script: how often each thing did and what completed runs took, by level, lane and project in
-- one key; and the most runs at once, by lane. The numbers are those of the columns of a roll-up.
local counted, took, peaks = {}, {}, {}
local tallied = false
local ADDED, FAILED, CANCELLED, RETRIED, STALLED, REMOVED = 1, 3, 4, 5, 6, 13

local function tallyKey(lane, priority, project)
  if priority ~= 0 or project then return levelOf(priority) .. "|" .. lane.name .. "|" .. (project or "") end
  if lane.tallyKey == nil then lane.tallyKey = levelOf(0) .. "|" .. lane.name .. "|" end
  return lane.tallyKey
end

local function tally(job, what)
  local of = counted[what]
  if of == nil then
    of = {}
    counted[what] = of
  end
  local key = tallyKey(job.lane, job.priority, job.project)
  of[key] = (of[key] or 0) + 1
  tallied = true
end

-- How often, duration (sum, least, most), wait, tokens.
local function tallyRun(job, duration, wait, tokens)
  local key = tallyKey(job.lane, job.priority, job.project)
  local sums = took[key]
  if sums == nil then
    took[key] = { 1, duration, duration, duration, wait, tokens }
    tallied = true
    return
  end
  sums[1] = sums[1] + 1
  sums[2] = sums[2] + duration
  if duration < sums[3] then sums[3] = duration end
  if duration > sums[4] then sums[4] = duration end
  sums[5] = sums[5] + wait
  sums[6] = sums[6] + tokens
end

local function peak(name, runsAtOnce)
  if runsAtOnce > (peaks[name] or 0) then
    peaks[name] = runsAtOnce
    tallied = true
  end
end

-- `what` ("d", "x" or "r" and a lane's name, or "l" for the leases of all) is due at that time, or earlier already.
local function addDue(what, at)
  if rcall("ZADD", p .. "due", "LT", "CH", at, what) == 1 and rcall("ZRANK", p .. "due", what) == 0 then
    dueChanged = true
  end
end

local groups = {}

-- One tenant's part of a group of queues, with its limits; nil where there is none.
local function groupNamed(tenant, name)
  if not name then return nil end
  local key = tenant .. " " .. name
  local group = groups[key]
  if group == nil then
    local text = rcall("HGET", p .. "groups", name)
    group = text and cjson.decode(text) or false
    if group then group.tenant = tenant end
    groups[key] = group
  end
  return group or nil
end

local function groupOf(lane) return groupNamed(lane.tenant, lane.groupName) end

-- How many more jobs of the group may start now, and how many more it takes; counted where they lie, so that no
-- counter can go astray.
local function runsLeft(group)
  if not group.maxRunning then return math.huge end
  local left = group.maxRunning
  for _, queue in ipairs(group.queues) do
    left = left - rcall("LLEN", p .. group.tenant .. "." .. queue .. ":active")
  end
  return left
end

local function roomLeft(group)
  if not group.maxUnfinished then return math.huge end
  local left = group.maxUnfinished
  for _, queue in ipairs(group.queues) do
    local key = p .. group.tenant .. "." .. queue .. ":"
    left = left - rcall("LLEN", key .. "wait") - rcall("ZCARD", key .. "prioritized") - rcall("ZCARD", key .. "delayed")
      - rcall("ZCARD", key .. "waiting-children") - rcall("LLEN", key .. "active")
  end
  return left
end

local function lanesOf(group)
  local found = {}
  for _, queue in ipairs(group.queues) do found[#found + 1] = laneNamed(group.tenant .. "." .. queue) end
  return found
end

-- How many more jobs of the lane may start now, and how many of its waiting ones are prioritized.
local function startsLeft(lane)
  if lane.paused then return 0, 0 end
  local prioritized = lane.prioritizes and rcall("ZCARD", lane.key .. "prioritized") or 0
  local left = rcall("LLEN", lane.key .. "wait") + prioritized
  if left == 0 then return 0, 0 end
  if lane.concurrency then left = math.min(left, lane.concurrency - rcall("LLEN", lane.key .. "active")) end
  if lane.max then
    left = math.min(left, now < lane.windowEnd and lane.max - lane.windowStarts or lane.max)
  end
  local group = lane.groupName and groupOf(lane)
  if group then left = math.min(left, runsLeft(group)) end
  return math.max(0, left), prioritized
end

-- A place at the end of a ring.
local function nextTurn()
  turn = turn and turn + 1 or tonumber(rcall("INCRBY", p .. "turn", 2000)) - 1999
  return turn
end

-- By queue: lanes that come to its ring, go to its end, or leave it; written by `settle`.
local coming, turning, leaving = {}, {}, {}

local function gather(rings, lane, score)
  local ring = rings[lane.queue]
  if ring == nil then
    ring = { lane = lane }
    rings[lane.queue] = ring
  end
  if score then ring[#ring + 1] = score end
  ring[#ring + 1] = lane.tenant
end

local function leaveRing(lane) gather(leaving, lane) end

-- Puts the lane among those that claims can take from, or takes it out.
local function refresh(lane)
  local free = lane.filled and not (lane.paused or lane.concurrency or lane.max or lane.groupName)
  if free or startsLeft(lane) > 0 then gather(coming, lane, nextTurn()) else leaveRing(lane) end
end

local function settleRings()
  for queue, ring in pairs(leaving) do
    local key = p .. "ring:" .. queue
    if rcall("ZREM", key, unpack(ring)) > 0 and not ring.lane.typed and rcall("EXISTS", key) == 0 then
      rcall("SREM", p .. "ready", queue)
    end
  end
  for queue, ring in pairs(turning) do rcall("ZADD", p .. "ring:" .. queue, "XX", unpack(ring)) end
  local woken = {}
  for queue, ring in pairs(coming) do
    if rcall("ZADD", p .. "ring:" .. queue, "NX", unpack(ring)) > 0 then
      local kind = "t"
      if not ring.lane.typed then
        kind = "u"
        rcall("SADD", p .. "ready", queue)
      end
      for i = 2, #ring, 2 do woken[#woken + 1] = kind .. ring[i] .. "." .. queue end
    end
  end
  if #woken > 0 then
    rcall("SPUBLISH", p .. "news", "wake " .. (#woken > 100 and "*" or table.concat(woken, " ")))
  end
end

-- In pieces that fit Lua's stack.
local function many(command, key, values)
  for from = 1, #values, 4000 do
    rcall(command, key, unpack(values, from, math.min(from + 3999, #values)))
  end
end

local written = {}

-- For one command on a set of the lane at the end.
local function later(lane, list, a, b)
  written[lane.name] = lane
  local values = lane[list]
  if values == nil then
    values = {}
    lane[list] = values
  end
  values[#values + 1] = a
  values[#values + 1] = b
end

local function settle()
  settleFacts()
  for owner, ids in pairs(owners) do many("SREM", p .. "runs:" .. owner, ids) end
  if #endedLeases > 0 then many("ZREM", p .. "leases", endedLeases) end
  local oldest = {}
  for name, lane in pairs(written) do
    for st, set in pairs(FINISHED) do
      if lane[st] then
        many("ZADD", lane.key .. set, lane[st])
        oldest[st] = oldest[st] or { "NX" }
        oldest[st][#oldest[st] + 1] = nowText
        oldest[st][#oldest[st] + 1] = name
      end
    end
  end
  for st, pairs_ in pairs(oldest) do rcall("ZADD", p .. "oldest:" .. st, unpack(pairs_)) end
  for tenant, runs in pairs(typedRuns) do
    if runs ~= 0 then
      local all = rcall("HINCRBY", p .. "typedRuns", tenant, runs)
      if runs > 0 then peak(tenant .. ".", all) end
    end
  end
  for _, lane in pairs(touched) do refresh(lane) end
  settleRings()
  -- Sums are merged into the lanes' roll-ups when somebody reads them, or every few seconds.
  if tallied then
    rcall("RPUSH", p .. "tallies", cmsgpack.pack({ math.floor(now / 60000) * 60000, counted, took, peaks }))
  end
  if #told > 0 then
    local newest
    for _, event in ipairs(told) do
      newest = rcall("XADD", p .. "events", "MAXLEN", "~", 65536, listening .. "-*", "e", event[1], "x", event[2] or "")
    end
    rcall("SPUBLISH", p .. "news", "events " .. newest)
  end
  if #posted > 0 then
    -- OUTBOX_LIMIT
    local room = 1000000 - rcall("XLEN", p .. "outbox")
    for i = 1, math.min(room, #posted) do
      rcall("XADD", p .. "outbox", "*", "e", posted[i][1], "x", posted[i][2] or "")
    end
    if room < #posted then rcall("INCRBY", p .. "outboxDropped", #posted - math.max(room, 0)) end
    rcall("SPUBLISH", p .. "news", "outbox")
  end
  if dueChanged then rcall("SPUBLISH", p .. "news", "due") end
end
