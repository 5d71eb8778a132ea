--[[
  Does one thing to each of some jobs.
  ARGV[2]  tenant or "*"; ARGV[3] "cancel", "retry", "promote" or "remove"
  ARGV[4]  cancel: "1" if running jobs may be; ARGV[5] its reason; ARGV[6] the failure to keep (JSON)
  ARGV[7]  "", or a filter as `matches` has it: jobs that do not match it (any more) stay as they are
  ARGV[8.] ids
  Result   for each "ok", "unknown", "other" where it does not match, "is <state>" of a state that forbids it, "duplicate <id>", "full <limit>" of a group
           without room; of a removed job what `erase` tells
]]
--- @include "transitions"
--- @include "erase"
--- @include "matches"

local function cancel(job)
  if FINISHED[job.st] then return "is " .. STATES[job.st] end
  if job.st ~= "a" then
    drop(job, "x", ARGV[5], ARGV[6])
    return "ok"
  end
  if ARGV[4] ~= "1" then return "is active" end
  if job.stop then return "ok" end
  job.stop = ARGV[5]
  if string.sub(job.owner, 1, 2) == "i:" then
    rcall("HSET", job.key, "stop", job.stop)
    tellToStop(job, "cancelled")
  else
    cancelRun(job)
  end
  return "ok"
end

-- What can still complete is waited for again; what is gone or was called off the retry is meant to do without.
local function waitsAgain(job)
  if not job.dependsOn then return false end
  local waits = false
  for id in string.gmatch(job.dependsOn, "%d+") do
    local parent = findJob(id, job.lane.tenant)
    if parent and parent.st ~= "c" and parent.st ~= "x" then
      waits = true
      rcall("HSET", parent.key, "dn", "1")
      rcall("ZADD", p .. "dependents:" .. parent.id, job.id, job.lane.name .. ":" .. job.member)
      rcall("SADD", job.key .. ":dependencies", parent.key)
    end
  end
  return waits
end

local function retry(job)
  if job.st ~= "f" and job.st ~= "x" then return "is " .. STATES[job.st] end
  local lane = job.lane
  if job.unique then
    local holder = rcall("HGET", lane.key .. "unique", job.unique)
    if holder then return "duplicate " .. holder end
  end
  local group = groupOf(lane)
  if group and roomLeft(group) <= 0 then return "full " .. group.maxUnfinished end
  if job.unique then rcall("HSET", lane.key .. "unique", job.unique, job.id) end
  rcall("ZREM", lane.key .. FINISHED[job.st], job.member)
  forgetError(job)
  -- A time to live counts once: the retry was asked for after it began.
  rcall("HDEL", job.key, "finishedOn", "returnvalue", "rf", "failedReason", "er", "stacktrace", "atm", "ats", "cr", "ex", "eg")
  forgetRun(job)
  if waitsAgain(job) then
    touch(lane)
    rcall("HSET", job.key, "st", "b", "ra", now)
    mark(job.id, lane, "b", job.priority)
    rcall("HDEL", job.key, "or")
    rcall("ZADD", lane.key .. "waiting-children", now, job.member)
  else
    makeReady(job)
  end
  tell("job.pushed", lane, job.id)
  return "ok"
end

local function promote(job)
  if job.st ~= "d" then return "is " .. STATES[job.st] end
  takeOut(job)
  makeReady(job)
  return "ok"
end

local function remove(job)
  if job.st == "a" then return "is active" end
  local lane = job.lane
  touch(lane)
  if FINISHED[job.st] then
    rcall("ZREM", lane.key .. FINISHED[job.st], job.member)
  else
    takeOut(job)
    if job.unique then rcall("HDEL", lane.key .. "unique", job.unique) end
    if job.dependsOn then leaveParents(job) end
  end
  -- A child that waits for a job it will never see complete fails; one that has all it needs goes on.
  if job.hasDependents then
    if job.st ~= "c" then failDependents(job, "removed") end
    rcall("DEL", p .. "dependents:" .. job.id)
  end
  return erase(job)
end

local acts = { cancel = cancel, retry = retry, promote = promote, remove = remove }
local act = acts[ARGV[3]]
local answer = {}
if ARGV[7] ~= "" then readFilter(ARGV[7]) end
for i = 8, #ARGV do
  local job = findJob(ARGV[i], ARGV[2])
  if job and filter and not matches(tonumber(ARGV[i])) then
    answer[#answer + 1] = "other"
  else
    answer[#answer + 1] = job and act(job) or "unknown"
  end
end
settle()
return answer
