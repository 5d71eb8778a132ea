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

-- A lane by its name, `tenant.queue`; nil where there is none.
local function laneNamed(name)
  local lane = lanes[name]
  if lane ~= nil then return lane end
  local key = p .. name .. ":"
  local m = rcall("HMGET", key .. "meta", "no", "paused", "concurrency", "max", "typed", "windowEnd", "windowStarts")
  if not m[1] then return nil end
  local tenant = string.match(name, "^[^.]*")
  lane = {
    name = name,
    key = key,
    no = tonumber(m[1]),
    tenant = tenant,
    queue = string.sub(name, #tenant + 2),
    paused = m[2] ~= false,
    concurrency = tonumber(m[3] or nil),
    max = tonumber(m[4] or nil),
    typed = m[5] == "1",
    windowEnd = tonumber(m[6] or 0),
    windowStarts = tonumber(m[7] or 0),
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
  local four = rcall("GETRANGE", p .. "ids:" .. math.floor(id / BUCKET), at, at + 3)
  if #four < 4 then return nil end
  local a, b, c, d = string.byte(four, 1, 4)
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

-- What is gathered while the script runs and written once at its end, by `settle`.
local touched = {}
local tallies = {}
local told = {}
local dueChanged = false
local listening = rcall("GET", p .. "listening")

local function touch(lane) touched[lane.name] = lane end

-- An event; `more` is JSON text of what it tells beyond the job.
local function tell(type, lane, id, more)
  if listening then told[#told + 1] = { type .. "|" .. now .. "|" .. id .. "|" .. lane.name, more } end
end

local function levelOf(priority)
  if priority <= -7 then return 0 end
  if priority < 0 then return 1 end
  if priority == 0 then return 2 end
  return 3
end

-- The sums of one lane, level and project in this script: added, completed, failed, cancelled, retried, stalled,
-- duration (sum, min, max), wait, tokens, peak.
local function sumsOf(lane, priority, project)
  local ofLane = tallies[lane.name]
  if ofLane == nil then
    ofLane = {}
    tallies[lane.name] = ofLane
  end
  local field = levelOf(priority) .. "|" .. (project or "")
  local sums = ofLane[field]
  if sums == nil then
    sums = { 0, 0, 0, 0, 0, 0, 0, false, false, 0, 0, 0 }
    ofLane[field] = sums
  end
  return sums
end

local ADDED, COMPLETED, FAILED, CANCELLED, RETRIED, STALLED = 1, 2, 3, 4, 5, 6

local function tally(job, what)
  local sums = sumsOf(job.lane, job.priority, job.project)
  sums[what] = sums[what] + 1
end

local function peak(name, runs)
  local sums = sumsOf({ name = name }, 0, nil)
  if runs > sums[12] then sums[12] = runs end
end

-- Something of this kind in this lane is due at that time, or earlier things are.
local function addDue(kind, lane, at)
  local member = kind .. lane.name
  if rcall("ZADD", p .. "due", "LT", "CH", at, member) == 1 and rcall("ZRANK", p .. "due", member) == 0 then
    dueChanged = true
  end
end

local function startsLeft(lane)
  if lane.paused then return 0 end
  local left = rcall("LLEN", lane.key .. "wait") + rcall("ZCARD", lane.key .. "prioritized")
  if left == 0 then return 0 end
  if lane.concurrency then left = math.min(left, lane.concurrency - rcall("LLEN", lane.key .. "active")) end
  if lane.max then
    left = math.min(left, now < lane.windowEnd and lane.max - lane.windowStarts or lane.max)
  end
  return math.max(0, left)
end

-- Puts the lane among those that claims can take from, or takes it out.
local function refresh(lane)
  local ring = p .. "ring:" .. lane.queue
  if startsLeft(lane) > 0 then
    if not rcall("ZSCORE", ring, lane.tenant) then
      rcall("ZADD", ring, rcall("INCR", p .. "turn"), lane.tenant)
      if not lane.typed then rcall("SADD", p .. "ready", lane.queue) end
      rcall("SPUBLISH", p .. "news", (lane.typed and "wake t " or "wake u ") .. lane.name)
    end
  elseif rcall("ZREM", ring, lane.tenant) == 1 and not lane.typed and rcall("EXISTS", ring) == 0 then
    rcall("SREM", p .. "ready", lane.queue)
  end
end

local function mergeSums(text, sums)
  if not text then return sums end
  local old = {}
  for word in string.gmatch(text, "%S+") do old[#old + 1] = tonumber(word) or false end
  for i = 1, 11 do
    if i == 8 then
      if old[8] and (not sums[8] or old[8] < sums[8]) then sums[8] = old[8] end
    elseif i == 9 then
      if old[9] and (not sums[9] or old[9] > sums[9]) then sums[9] = old[9] end
    else
      sums[i] = sums[i] + old[i]
    end
  end
  if old[12] > sums[12] then sums[12] = old[12] end
  return sums
end

local function encodeSums(sums)
  local words = {}
  for i = 1, 12 do words[i] = sums[i] and string.format("%.17g", sums[i]) or "-" end
  return table.concat(words, " ")
end

-- In pieces that fit Lua's stack.
local function many(command, key, values)
  for from = 1, #values, 4000 do
    rcall(command, key, unpack(values, from, math.min(from + 3999, #values)))
  end
end

local function later(lane, list, a, b)
  local values = lane[list]
  if values == nil then
    values = {}
    lane[list] = values
  end
  values[#values + 1] = a
  if b ~= nil then values[#values + 1] = b end
end

local owners = {}

local function settle()
  for owner, members in pairs(owners) do many("SREM", p .. "runs:" .. owner, members) end
  for _, lane in pairs(touched) do
    if lane.ended then many("ZREM", lane.key .. "leases", lane.ended) end
    for st, set in pairs(FINISHED) do
      if lane[st] then
        many("ZADD", lane.key .. set, lane[st])
        rcall("ZADD", p .. "oldest:" .. st, "NX", now, lane.name)
      end
    end
    if lane.typedRuns and lane.typedRuns ~= 0 then
      local runs = rcall("HINCRBY", p .. "typedRuns", lane.tenant, lane.typedRuns)
      if lane.typedRuns > 0 then peak(lane.tenant .. ".", runs) end
    end
    refresh(lane)
  end
  local minute = "m" .. math.floor(now / 60000) * 60000 .. "|"
  for name, ofLane in pairs(tallies) do
    local key = p .. name .. ":rollup"
    for field, sums in pairs(ofLane) do
      local at = minute .. field
      rcall("HSET", key, at, encodeSums(mergeSums(rcall("HGET", key, at), sums)))
    end
  end
  if #told > 0 then
    local newest
    for _, event in ipairs(told) do
      newest = rcall("XADD", p .. "events", "MAXLEN", "~", 65536, listening .. "-*", "e", event[1], "x", event[2] or "")
    end
    rcall("SPUBLISH", p .. "news", "events " .. newest)
  end
  if dueChanged then rcall("SPUBLISH", p .. "news", "due") end
end
