--[[
  Makes waiting jobs runs of one claim.
  ARGV[2]  tenant or "*"
  ARGV[3]  jobs in all
  ARGV[4]  owner: "i:<instance>" for runs of that process, "w:<worker>" for pulled ones, "" for nobody's
  ARGV[5]  worker, "" for none; ARGV[6] lease ms; ARGV[7] "p" or "s": the timeout counts from progress or the start
  ARGV[8]  which queue is asked first
  ARGV[9]  "*" for every untyped queue, or "" and pairs of queue and limit
  Result   the lease and the time, then for each run its lane's name, id and hash
  Invariant: a run is in `active`, in `leases`, and among its owner's runs.
]]
--- @include "transitions"

local tenant = ARGV[2]
local left = tonumber(ARGV[3])
local owner, worker, leaseMs, mode = ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7]

-- Queues that have something, with the lanes whose turn comes first in front.
local sources = {}

local function addSource(queue, limit)
  if limit <= 0 then return end
  local turns
  if tenant == "*" then turns = rcall("ZRANGE", p .. "ring:" .. queue, 0, math.min(limit, left) - 1)
  elseif rcall("ZSCORE", p .. "ring:" .. queue, tenant) then turns = { tenant }
  else turns = {} end
  if #turns > 0 then sources[#sources + 1] = { queue = queue, left = limit, turns = turns } end
end

if ARGV[9] == "*" then
  for _, queue in ipairs(rcall("SMEMBERS", p .. "ready")) do addSource(queue, left) end
else
  for i = 10, #ARGV, 2 do addSource(ARGV[i], tonumber(ARGV[i + 1])) end
end
if #sources == 0 then return {} end
local names = {}
for _, source in ipairs(sources) do
  for i, each in ipairs(source.turns) do
    local name = each .. "." .. source.queue
    source.turns[i] = name
    names[#names + 1] = name
  end
end
if #names > 1 then loadLanes(names) end

-- Shares: one job a lane and round, until the claim, the queues' limits or the lanes are exhausted.
local shares = {}
local order = {}
local first = tonumber(ARGV[8])
local going = true
while going and left > 0 do
  going = false
  for i = 0, #sources - 1 do
    local source = sources[(i + first) % #sources + 1]
    local alone = #sources == 1 and #source.turns == 1
    -- One lane of each queue in turn, so that no queue is left out by another's many lanes.
    source.at = source.at or 0
    local tries = #source.turns
    while tries > 0 and left > 0 and source.left > 0 do
      tries = tries - 1
      source.at = source.at % #source.turns + 1
      local name = source.turns[source.at]
      local share = shares[name]
      if share == nil then
        local lane = laneNamed(name)
        local free, prioritized = startsLeft(lane)
        local group = groupOf(lane)
        if group and not group.left then group.left = runsLeft(group) end
        share = { lane = lane, free = free, prioritized = prioritized, count = 0, group = group }
        shares[name] = share
        order[#order + 1] = share
      end
      local group = share.group
      if share.free > 0 and not (group and group.left <= 0) then
        local take = alone and math.min(share.free, left, source.left) or 1
        if group then group.left = group.left - take end
        share.free = share.free - take
        share.count = share.count + take
        source.left = source.left - take
        left = left - take
        going = true
        break
      end
    end
  end
end

local claim = rcall("INCR", p .. "claims")
local lease = tostring(claim)
-- Places among equals, for jobs that have none yet: in the order of claims.
local place = claim * 4096
local answer = { lease, now }
local leases, ids = {}, {}
local soonest

-- The next members of a share in their order, and, for prioritized ones, their scores.
local function nextOf(share)
  local wait = share.lane.key .. "wait"
  if share.prioritized == 0 then return rcall("RPOP", wait, share.count) or {}, {} end
  local members, scores = {}, {}
  local prioritized = share.lane.key .. "prioritized"
  local function fromPrioritized(most)
    if most <= 0 then return end
    local popped = rcall("ZPOPMIN", prioritized, most)
    for i = 1, #popped, 2 do
      members[#members + 1] = popped[i]
      scores[#members] = popped[i + 1]
    end
  end
  fromPrioritized(math.min(share.count, rcall("ZCOUNT", prioritized, "-inf", "(0")))
  if #members < share.count then
    local popped = rcall("RPOP", wait, share.count - #members)
    for _, member in ipairs(popped or {}) do members[#members + 1] = member end
  end
  fromPrioritized(share.count - #members)
  return members, scores
end

-- Fields that leave a job plain, if it has no priority either: its end in success concerns nothing but itself.
local PLAIN = { name = true, data = true, opts = true, timestamp = true, delay = true, nm = true, lb = true, lf = true,
  df = true, jy = true, ra = true, ex = true }
local kinds = {}

-- Runs with the same timeout differ in nothing that is told of them.
local function kindOf(timeout, plain)
  local name = (timeout or "") .. (plain and "p" or "")
  local kind = kinds[name]
  if kind == nil then
    local run = { lease = lease, mode = mode, timeoutAt = timeout and now + timeout, leaseMs = leaseMs, startedAt = nowText,
      plain = plain, owner = owner }
    local deadline = deadlineOf(run, leaseMs)
    if not soonest or deadline < soonest then soonest = deadline end
    kind = { text = encodeRun(run), deadline = string.format("%.0f", deadline) }
    kinds[name] = kind
  end
  return kind
end

local function start(lane, member, score)
  local key = lane.key .. member
  local hash = rcall("HGETALL", key)
  local ord, timeout, starts, plain, priority = nil, nil, "1", true, "0"
  for f = 1, #hash, 2 do
    local field = hash[f]
    if not PLAIN[field] then
      if field == "priority" then
        priority = hash[f + 1]
        plain = plain and priority == "0"
      elseif field == "to" then timeout = hash[f + 1]
      elseif field == "or" then ord = hash[f + 1]
      elseif field == "ats" then starts = hash[f + 1] + 1
      else plain = false end
    end
  end
  local kind = kindOf(timeout, plain)
  local id = string.sub(member, 2)
  local n = #ids
  leases[2 * n + 1] = kind.deadline
  leases[2 * n + 2] = id
  ids[n + 1] = id
  place = place + 1
  rcall("HSET", key, "st", "a", "run", kind.text, "processedOn", nowText, "pb", worker, "ats", starts,
    "or", score or ord or place)
  mark(tonumber(id), lane, "a", priority == "0" and 0 or tonumber(priority))
  answer[3 * n + 3] = lane.name
  answer[3 * n + 4] = id
  answer[3 * n + 5] = hash
  tell("job.started", lane, id)
end

local function countStarts(lane, count)
  if now >= lane.windowEnd then
    lane.windowEnd = now + 1000
    lane.windowStarts = 0
  end
  lane.windowStarts = lane.windowStarts + count
  setLane(lane, "windowEnd", lane.windowEnd, "windowStarts", lane.windowStarts)
  if lane.windowStarts >= lane.max then addDue("r" .. lane.name, lane.windowEnd) end
end

for _, share in ipairs(order) do
  local lane = share.lane
  if share.count > 0 then
    local members, scores = nextOf(share)
    for i, member in ipairs(members) do start(lane, member, scores[i]) end
    if #members > 0 then peak(lane.name, rcall("LPUSH", lane.key .. "active", unpack(members))) end
    if lane.max then countStarts(lane, #members) end
    if lane.typed then typedRuns[lane.tenant] = (typedRuns[lane.tenant] or 0) + #members end
  end
  -- It had its turn; what it has left was counted before.
  local full = share.group and share.group.left <= 0
  if share.free > 0 and not full then gather(turning, lane, nextTurn())
  else leaveRing(lane) end
  if full and not share.group.told then
    share.group.told = true
    for _, other in ipairs(lanesOf(share.group)) do
      if not shares[other.name] then leaveRing(other) end
    end
  end
end
if #ids > 0 then
  many("ZADD", p .. "leases", leases)
  addDue("l", soonest)
  if owner ~= "" then many("SADD", p .. "runs:" .. owner, ids) end
end

settle()
return answer
