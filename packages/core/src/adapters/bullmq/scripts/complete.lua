--[[
  Ends runs in success.
  ARGV[2]  tenant or "*"
  ARGV[3.] for each run: id, lease or "", kind of result ("" none, "j" JSON, "f" where a file lies), result, tokens
  Result   for each "ok", "unknown", "stale" or "is <state>"
]]
--- @include "transitions"
--- @include "payload-paths"

local tenant = ARGV[2]

-- A run of a plain job, for which less has to be read; nil where it may not be one.
local function findPlainRun(text, lease)
  local id = tonumber(text)
  local lane = laneOf(id)
  if lane == nil or (tenant ~= "*" and tenant ~= lane.tenant) then return nil end
  local member = "j" .. text
  local key = lane.key .. member
  local f = rcall("HMGET", key, "run", "stop", "dn", "ra", "timestamp")
  local run = f[1] and parseRun(f[1])
  if not run or not run.plain or f[2] or f[3] or (lease ~= "" and lease ~= run.lease)
    or (run.timeoutAt and now >= run.timeoutAt) then
    return nil
  end
  return {
    id = id, text = text, lane = lane, key = key, member = member, priority = 0, attempts = 0, crashes = 0,
    startedAt = run.startedAt, runAt = tonumber(f[4] or f[5]), owner = run.owner,
  }
end

loadLanesOf(3, 5)
local answer = {}
for i = 3, #ARGV, 5 do
  local job, refusal = findPlainRun(ARGV[i], ARGV[i + 1]), nil
  if job == nil then job, refusal = findRun(ARGV[i], ARGV[i + 1], tenant) end
  answer[(i + 2) / 5] = refusal or "ok"
  if job and job.stop then
    cancelRun(job)
  elseif job then
    endRun(job)
    local attempts = job.attempts == 0 and "1" or job.attempts + 1
    tallyRun(job, now - job.startedAt, math.max(0, job.startedAt - job.runAt), tonumber(ARGV[i + 4]))
    tell("job.completed", job.lane, job.id)
    if job.attempts > 0 or job.crashes > 0 then rcall("HDEL", job.key, "er", "failedReason", "stacktrace") end
    local kind = ARGV[i + 2]
    if kind == "" then finish(job, "c", "atm", attempts)
    elseif kind == "j" then
      finish(job, "c", "atm", attempts, "returnvalue", ARGV[i + 3])
      indexPayload(job.lane, job.id, "result", ARGV[i + 3])
    else
      rcall("SADD", p .. "files", cjson.decode(ARGV[i + 3]).file)
      finish(job, "c", "atm", attempts, "returnvalue", ARGV[i + 3], "rf", "1")
    end
  end
end
settle()
return answer
