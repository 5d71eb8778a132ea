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

-- Ids per bucket of the id index, four bytes of lane number each.
local BUCKET = 1024

local lanes = {}
local namesOfNo = {}
local buckets = {}

-- A lane by its name, `tenant.queue`; nil where there is none.
local function laneNamed(name)
  local lane = lanes[name]
  if lane ~= nil then return lane end
  local key = p .. name .. ":"
  local fields = rcall("HGETALL", key .. "meta")
  local m = {}
  for i = 1, #fields, 2 do m[fields[i]] = fields[i + 1] end
  if not m.no then return nil end
  local tenant = string.match(name, "^[^.]*")
  lane = {
    name = name,
    key = key,
    no = tonumber(m.no),
    tenant = tenant,
    queue = string.sub(name, #tenant + 2),
    paused = m.paused ~= nil,
    concurrency = tonumber(m.concurrency),
    max = tonumber(m.max),
    typed = m.typed == "1",
    windowEnd = tonumber(m.windowEnd or 0),
    windowStarts = tonumber(m.windowStarts or 0),
    peakAt = tonumber(m.peakAt or 0),
    peak = tonumber(m.peak or 0),
    -- Whether it ever had a prioritized job: most lanes never do, and need not be asked.
    prioritizes = m.prioritized ~= nil,
    groupName = m.group,
    paths = m.paths,
  }
  lanes[name] = lane
  return lane
end

local function nameOfLane(no)
  local name = namesOfNo[no]
  if name == nil then
    name = rcall("HGET", p .. "laneNames", no)
    namesOfNo[no] = name
  end
  return name
end

-- The lane a job was put in; nil for an id that never was.
local function laneOf(id)
  local at = (id % BUCKET) * 4
  local bucket = p .. "ids:" .. math.floor(id / BUCKET)
  local a, b, c, d
  if #ARGV > 100 then
    -- Ids of one call mostly lie together.
    local bytes = buckets[bucket]
    if bytes == nil then
      bytes = rcall("GET", bucket) or ""
      buckets[bucket] = bytes
    end
    a, b, c, d = string.byte(bytes, at + 1, at + 4)
  else
    a, b, c, d = string.byte(rcall("GETRANGE", bucket, at, at + 3), 1, 4)
  end
  if not d then return nil end
  local no = a + b * 256 + c * 65536 + d * 16777216
  if no == 0 then return nil end
  return laneNamed(nameOfLane(no))
end

local function bytesOf(no)
  return string.char(no % 256, math.floor(no / 256) % 256, math.floor(no / 65536) % 256, math.floor(no / 16777216))
end

local FIELDS = { "timestamp", "st", "run", "priority", "or", "atm", "cr", "uk", "pj", "processedOn", "ra", "lf", "dp",
  "dn", "stop", "to", "ats", "ex" }

-- A job's hash as far as changes of state need it; nil when it is not there for this tenant.
local function findJob(id, tenant, lane)
  id = tonumber(id)
  lane = lane or laneOf(id)
  if lane == nil or (tenant ~= "*" and tenant ~= lane.tenant) then return nil end
  local key = lane.key .. "j" .. id
  local f = rcall("HMGET", key, unpack(FIELDS))
  if not f[1] then return nil end
  local job = {
    id = id, lane = lane, key = key, member = "j" .. id,
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
    local lease, mode, timeoutAt, leaseMs, owner = string.match(f[3], "^(.-)|(.-)|(.-)|(.-)|(.*)$")
    job.lease = lease
    job.mode = mode
    job.timeoutAt = tonumber(timeoutAt)
    job.leaseMs = tonumber(leaseMs)
    job.owner = owner
  end
  return job
end

local function encodeRun(job)
  return job.lease .. "|" .. job.mode .. "|" .. (job.timeoutAt or "") .. "|" .. job.leaseMs .. "|" .. job.owner
end

local STATES = { w = "waiting", d = "delayed", b = "blocked", a = "active", c = "completed", f = "failed", x = "cancelled" }
local FINISHED = { c = "completed", f = "failed", x = "cancelled" }

-- What is gathered while the script runs and written once at its end, by `settle`: all that can go in one command for
-- many jobs or lanes does, for what a script costs is its commands.
local touched = {}
local tallies = {}
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

-- The sums of one lane, level and project in this script: added, completed, failed, cancelled, retried, stalled,
-- duration (sum, min, max), wait, tokens, peak, removed.
local function sumsOf(lane, priority, project)
  local ofLane = tallies[lane.name]
  if ofLane == nil then
    ofLane = {}
    tallies[lane.name] = ofLane
  end
  local field = levelOf(priority) .. "|" .. (project or "")
  local sums = ofLane[field]
  if sums == nil then
    sums = { 0, 0, 0, 0, 0, 0, 0, false, false, 0, 0, 0, 0 }
    ofLane[field] = sums
  end
  return sums
end

local ADDED, COMPLETED, FAILED, CANCELLED, RETRIED, STALLED, REMOVED = 1, 2, 3, 4, 5, 6, 13

local function tally(job, what)
  local sums = sumsOf(job.lane, job.priority, job.project)
  sums[what] = sums[what] + 1
end

local function peak(name, runs)
  local sums = sumsOf({ name = name }, 0, nil)
  if runs > sums[12] then sums[12] = runs end
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
  for owner, ids in pairs(owners) do many("SREM", p .. "runs:" .. owner, ids) end
  if #endedLeases > 0 then many("ZREM", p .. "leases", endedLeases) end
  local oldest = {}
  for name, lane in pairs(written) do
    for st, set in pairs(FINISHED) do
      if lane[st] then
        many("ZADD", lane.key .. set, lane[st])
        oldest[st] = oldest[st] or { "NX" }
        oldest[st][#oldest[st] + 1] = now
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
  if next(tallies) then
    rcall("RPUSH", p .. "tallies", cmsgpack.pack({ math.floor(now / 60000) * 60000, tallies }))
  end
  if #told > 0 then
    local newest
    for _, event in ipairs(told) do
      newest = rcall("XADD", p .. "events", "MAXLEN", "~", 65536, listening .. "-*", "e", event[1], "x", event[2] or "")
    end
    rcall("SPUBLISH", p .. "news", "events " .. newest)
  end
  if #posted > 0 then
    for _, event in ipairs(posted) do rcall("XADD", p .. "outbox", "*", "e", event[1], "x", event[2] or "") end
    rcall("SPUBLISH", p .. "news", "outbox")
  end
  if dueChanged then rcall("SPUBLISH", p .. "news", "due") end
end
