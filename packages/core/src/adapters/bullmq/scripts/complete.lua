--[[
  Ends runs in success.
  ARGV[2]  tenant or "*"
  ARGV[3.] for each run: id, lease or "", kind of result ("" none, "j" JSON, "f" where a file lies), result, tokens
  Result   for each "ok", "unknown", "stale" or "is <state>"
]]
--- @include "transitions"
--- @include "payload-paths"

local answer = {}
for i = 3, #ARGV, 5 do
  local job, refusal = findRun(ARGV[i], ARGV[i + 1], ARGV[2])
  answer[#answer + 1] = refusal or "ok"
  if job and job.stop then
    cancelRun(job)
  elseif job then
    endRun(job)
    local attempts = job.attempts + 1
    local sums = sumsOf(job.lane, job.priority, job.project)
    local duration = now - job.startedAt
    sums[COMPLETED] = sums[COMPLETED] + 1
    sums[7] = sums[7] + duration
    if not sums[8] or duration < sums[8] then sums[8] = duration end
    if not sums[9] or duration > sums[9] then sums[9] = duration end
    sums[10] = sums[10] + math.max(0, job.startedAt - job.runAt)
    sums[11] = sums[11] + tonumber(ARGV[i + 4])
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
