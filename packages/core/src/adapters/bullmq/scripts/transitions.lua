--[[
  How jobs go from state to state; nothing here is called from outside.
  Where a job lies by its state, as BullMQ has it: waiting = `wait` (priority 0) or `prioritized`, delayed = `delayed`,
  blocked = `waiting-children`, active = `active`, completed and failed = sets of these names; `cancelled` is ours.
  Place among equals: a job of priority 0 carries one (`or`) only once it was claimed, or when it is lifo; all others
  in `wait` came later than every one that was ever claimed.
]]
--- @include "base"

local PLACES = 2147483648

local function scoreOf(job)
  local lane = job.lane
  if not lane.prioritizes then
    lane.prioritizes = true
    markLane(lane, "p")
  end
  local n = rcall("INCR", lane.key .. "pc") % PLACES
  return job.priority * 4294967296 + PLACES + (job.lifo and -n or n)
end

-- Puts a released job back where it was: in front of all that came later.
local function pushBack(job)
  local wait = job.lane.key .. "wait"
  local mine = tonumber(job.ord)
  local passed = {}
  while true do
    local id = rcall("LINDEX", wait, -1)
    local ord = id and tonumber(rcall("HGET", job.lane.key .. id, "or") or nil)
    if not ord or ord > mine then break end
    rcall("RPOP", wait)
    passed[#passed + 1] = id
  end
  rcall("RPUSH", wait, job.member)
  for i = #passed, 1, -1 do rcall("RPUSH", wait, passed[i]) end
end

-- Makes a job wait: behind its equals, or where it was before it was claimed.
local function makeReady(job, samePlace)
  local lane = job.lane
  touch(lane)
  lane.filled = true
  mark(job.id, lane, "w", job.priority)
  if samePlace then
    rcall("HDEL", job.key, "st")
    if job.priority ~= 0 then rcall("ZADD", lane.key .. "prioritized", job.ord, job.member)
    else pushBack(job) end
    return
  end
  job.runAt = now
  rcall("HSET", job.key, "ra", now)
  rcall("HDEL", job.key, "st", "or")
  if job.priority ~= 0 then
    rcall("ZADD", lane.key .. "prioritized", scoreOf(job), job.member)
  elseif job.lifo then
    rcall("HSET", job.key, "or", -rcall("INCR", lane.key .. "pc"))
    rcall("RPUSH", lane.key .. "wait", job.member)
  else
    rcall("LPUSH", lane.key .. "wait", job.member)
  end
end

-- BullMQ's score: the moment, and behind it the order within one millisecond.
local function delayedScore(lane, at)
  local least = at * 4096
  local last = rcall("ZREVRANGEBYSCORE", lane.key .. "delayed", least + 4095, least, "WITHSCORES", "LIMIT", 0, 1)
  return last[2] and math.min(tonumber(last[2]) + 1, least + 4095) or least
end

local function makeDelayed(job, at)
  local lane = job.lane
  touch(lane)
  job.runAt = at
  rcall("HSET", job.key, "st", "d", "ra", at)
  mark(job.id, lane, "d", job.priority)
  rcall("HDEL", job.key, "or")
  rcall("ZADD", lane.key .. "delayed", delayedScore(lane, at), job.member)
  addDue("d" .. lane.name, at)
end

-- Takes an unfinished job that is not being run out of where it lies.
local function takeOut(job)
  local lane = job.lane
  touch(lane)
  if job.st == "w" then
    if job.priority ~= 0 then rcall("ZREM", lane.key .. "prioritized", job.member)
    else rcall("LREM", lane.key .. "wait", -1, job.member) end
  elseif job.st == "d" then
    rcall("ZREM", lane.key .. "delayed", job.member)
  else
    rcall("ZREM", lane.key .. "waiting-children", job.member)
  end
end

-- Ends a run; what becomes of the job is the caller's.
local function endRun(job)
  local lane = job.lane
  -- Only where runs are limited does the end of one let others start.
  if lane.concurrency then touch(lane) end
  local group = lane.groupName and groupOf(lane)
  if group and group.maxRunning and not group.touched then
    group.touched = true
    for _, each in ipairs(lanesOf(group)) do touch(each) end
  end
  rcall("LREM", lane.key .. "active", -1, job.member)
  endedLeases[#endedLeases + 1] = job.text
  if lane.typed then typedRuns[lane.tenant] = (typedRuns[lane.tenant] or 0) - 1 end
  if job.owner ~= "" then
    local of = owners[job.owner]
    if of == nil then
      of = {}
      owners[job.owner] = of
    end
    of[#of + 1] = job.text
  end
end

local KEPT_RUNS = 50

-- Keeps what is to be known of a run that did not complete; of one that did, the job tells.
local function noteRun(job, outcome, message, nextAt)
  local key = job.key .. ":runs"
  local last = rcall("LINDEX", key, -1)
  local worker = rcall("HGET", job.key, "pb")
  rcall("RPUSH", key, cjson.encode({
    number = last and cjson.decode(last).number + 1 or 1,
    startedAt = job.startedAt, endedAt = now, outcome = outcome,
    worker = worker and worker ~= "" and worker or nil, error = message, nextAt = nextAt,
  }))
  rcall("LTRIM", key, -KEPT_RUNS, -1)
end

-- What the run left in the hash, once the job waits again.
local function forgetRun(job)
  rcall("HDEL", job.key, "run", "processedOn", "pb", "progress", "pm", "ps", "stop")
end

-- The process that runs the job is told to stop, if it is one of ours.
local function tellToStop(job, reason)
  if string.sub(job.owner, 1, 2) ~= "i:" then return end
  local instance = string.sub(job.owner, 3)
  rcall("SPUBLISH", p .. "news", "stop " .. instance .. " " .. job.id .. " " .. job.lease .. " " .. reason)
end

local drop

local function leaveParents(job)
  for parent in string.gmatch(job.dependsOn, "%d+") do
    rcall("ZREM", p .. "dependents:" .. parent, job.lane.name .. ":" .. job.member)
  end
  rcall("DEL", job.key .. ":dependencies")
end

local function dependentsOf(job)
  local children = {}
  for _, member in ipairs(rcall("ZRANGE", p .. "dependents:" .. job.id, 0, -1)) do
    local name, id = string.match(member, "^(.*):j(%d+)$")
    local child = findJob(id, "*", laneNamed(name))
    if child and child.st == "b" then children[#children + 1] = child end
  end
  return children
end

local function freeDependents(job)
  for _, member in ipairs(rcall("ZRANGE", p .. "dependents:" .. job.id, 0, -1)) do
    local left = p .. member .. ":dependencies"
    -- Most wait for others still: they are not even looked at.
    if rcall("SREM", left, job.key) == 1 and rcall("EXISTS", left) == 0 then
      local name, id = string.match(member, "^(.*):j(%d+)$")
      local child = findJob(id, "*", laneNamed(name))
      if child and child.st == "b" then
        takeOut(child)
        if child.runAt > now then makeDelayed(child, child.runAt) else makeReady(child) end
      end
    end
  end
end

-- An error group's name, from what its messages have in common.
local function errorGroupNamed(common) return string.sub(redis.sha1hex(common), 1, 16) end

local function failDependents(job, what)
  for _, child in ipairs(dependentsOf(job)) do
    local message = "Job " .. job.id .. ", on which this job depends, was " .. what
    local group = errorGroupNamed("Job <n>, on which this job depends, was " .. what)
    drop(child, "f", message, cjson.encode({ code = "dependency_cancelled", message = message }), group)
  end
end

local function noteError(job, message)
  rcall("HSET", errorHash(job.lane, math.floor(job.id / BUCKET)), job.id % BUCKET, message)
end

local function forgetError(job)
  local lane = job.lane
  rcall("HDEL", errorHash(lane, math.floor(job.id / BUCKET)), job.id % BUCKET)
  if job.st ~= "f" then return end
  local group = rcall("HGET", job.key, "eg")
  if not group then return end
  rcall("ZREM", lane.key .. "errorTimes:" .. group, job.member)
  if rcall("ZREM", lane.key .. "errors:" .. group, job.id) == 1 and rcall("EXISTS", lane.key .. "errors:" .. group) == 0 then
    rcall("ZREM", lane.key .. "errorGroups", group)
  end
end

-- A failed job joins the others that failed alike.
local function joinErrorGroup(job, group, message)
  local lane = job.lane
  rcall("HSET", job.key, "eg", group)
  rcall("ZADD", lane.key .. "errors:" .. group, job.id, job.id)
  rcall("ZADD", lane.key .. "errorTimes:" .. group, now, job.member)
  rcall("ZADD", lane.key .. "errorGroups", 0, group)
  noteError(job, message)
end

-- The job, taken out already, is over. `...` are further fields of its hash.
local function finish(job, st, ...)
  local lane = job.lane
  rcall("HSET", job.key, "st", st, "finishedOn", nowText, ...)
  mark(job.id, lane, st, job.priority)
  rcall("HDEL", job.key, "run", "or", "stop")
  job.st = st
  if st ~= "f" and job.attempts > 0 then forgetError(job) end
  later(lane, st, nowText, job.member)
  if job.unique then rcall("HDEL", lane.key .. "unique", job.unique) end
  if job.dependsOn then leaveParents(job) end
  if job.hasDependents then
    if st == "c" then freeDependents(job)
    elseif st == "x" then failDependents(job, "cancelled") end
  end
end

-- Ends a job that is not being run, as failed or cancelled.
drop = function(job, st, message, failure, group)
  takeOut(job)
  tally(job, st == "f" and FAILED or CANCELLED)
  if st == "f" then
    tell("job.failed", job.lane, job.id, cjson.encode({ error = message, final = true }))
  else
    tell("job.cancelled", job.lane, job.id, cjson.encode({ error = message }))
  end
  finish(job, st, "failedReason", message, "er", failure)
  if st == "f" then joinErrorGroup(job, group, message) end
end

-- Ends a run whose cancellation was asked for.
local function cancelRun(job)
  local message = job.stop or "cancelled"
  endRun(job)
  noteRun(job, "cancelled", message)
  tally(job, CANCELLED)
  tell("job.cancelled", job.lane, job.id, cjson.encode({ error = message }))
  rcall("HDEL", job.key, "returnvalue", "rf")
  finish(job, "x", "failedReason", message, "er", cjson.encode({ code = "cancelled", message = message }))
  return "cancelled"
end

local function releaseRun(job)
  if job.stop then return cancelRun(job) end
  endRun(job)
  noteRun(job, "released", nil, now)
  forgetRun(job)
  makeReady(job, true)
  return "waiting"
end

-- The run's worker is gone, or silent: "crashed" or "stalled". `limit`: so many crashes end the job, with that failure.
local function crashRun(job, outcome, message, limit, lastMessage, lastFailure, group)
  if job.stop then return cancelRun(job) end
  endRun(job)
  job.crashes = job.crashes + 1
  tally(job, STALLED)
  tell("job.stalled", job.lane, job.id, cjson.encode({ error = message }))
  rcall("HSET", job.key, "cr", job.crashes)
  noteRun(job, outcome, message, job.crashes < limit and now or nil)
  if job.crashes < limit then
    forgetRun(job)
    makeReady(job, true)
    return "waiting"
  end
  tell("job.failed", job.lane, job.id, cjson.encode({ error = message, final = true }))
  tally(job, FAILED)
  finish(job, "f", "failedReason", lastMessage, "er", lastFailure)
  joinErrorGroup(job, group, lastMessage)
  return "failed"
end

-- A run ended in failure ("failed"), or out of time ("stalled"), which counts as an attempt.
local function failRun(job, outcome, message, failure, stack, retryAt, group)
  if job.stop then return cancelRun(job) end
  endRun(job)
  job.attempts = job.attempts + 1
  noteRun(job, outcome, message, retryAt and math.max(retryAt, now))
  tell("job.failed", job.lane, job.id, cjson.encode({ error = message, final = retryAt == nil }))
  rcall("HSET", job.key, "atm", job.attempts, "failedReason", message, "er", failure, "stacktrace", stack)
  if retryAt == nil then
    tally(job, FAILED)
    finish(job, "f")
    joinErrorGroup(job, group, message)
    return "failed"
  end
  noteError(job, message)
  tally(job, RETRIED)
  forgetRun(job)
  if retryAt > now then
    makeDelayed(job, retryAt)
    return "delayed"
  end
  makeReady(job)
  return "waiting"
end

-- The run a reference means, or why there is none: "unknown", "stale" or "is <state>".
local function findRun(id, lease, tenant)
  local job = findJob(id, tenant)
  if job == nil then return nil, "unknown" end
  if job.st ~= "a" then return nil, lease ~= "" and "stale" or "is " .. STATES[job.st] end
  if lease ~= "" and lease ~= job.lease then return nil, "stale" end
  -- Out of time, though nobody has come round to say so.
  if job.timeoutAt and now >= job.timeoutAt then return nil, "stale" end
  return job
end

-- When the run ends unless it shows a sign of life. A pulled run's own timeout stands in for its lease.
local function deadlineOf(job, leaseMs)
  if not job.timeoutAt then return now + leaseMs end
  if job.mode == "p" then return job.timeoutAt end
  return math.min(job.timeoutAt, now + leaseMs)
end

local function renewRun(job, leaseMs)
  local deadline = deadlineOf(job, leaseMs)
  rcall("ZADD", p .. "leases", deadline, job.id)
  addDue("l", deadline)
end
