--[[
  Ends runs in failure, which counts as an attempt.
  ARGV[2]  tenant or "*"
  ARGV[3]  "overdue": the runs ran out of time, and end only if they still are; else ""
  ARGV[4.] for each run: id, lease or "", attempt, time of the retry or "" for none, message, failure (JSON),
           stack (JSON), group of its errors
  Result   for each its new state, or "unknown", "stale" or "is <state>" of one that was not running (told by the "!")
]]
--- @include "transitions"

local overdue = ARGV[3] == "overdue"
local answer = {}
for i = 4, #ARGV, 8 do
  local job, refusal
  if overdue then
    job = findJob(ARGV[i], "*")
    if not job or job.st ~= "a" or job.lease ~= ARGV[i + 1] or not job.timeoutAt or now < job.timeoutAt then
      job, refusal = nil, "stale"
    end
  else
    job, refusal = findRun(ARGV[i], ARGV[i + 1], ARGV[2])
  end
  if job and tonumber(ARGV[i + 2]) ~= job.attempts + 1 then job, refusal = nil, "stale" end
  if job and overdue then
    tellToStop(job, "lost")
    if not job.stop then
      tally(job, STALLED)
      tell("job.stalled", job.lane, job.id, cjson.encode({ error = "timeout" }))
    end
  end
  answer[#answer + 1] = refusal and "!" .. refusal
    or failRun(job, overdue and "stalled" or "failed", ARGV[i + 4], ARGV[i + 5], ARGV[i + 6], tonumber(ARGV[i + 3]),
      ARGV[i + 7])
end
settle()
return answer
