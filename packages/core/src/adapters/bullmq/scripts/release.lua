--[[
  Gives runs back.
  ARGV[2]  tenant or "*"
  ARGV[3]  "overdue": the leases ran out, and the runs end only if they still are out; "gone": their process is; else ""
  ARGV[4]  "" or the message of the crash; ARGV[5] crashes that end a job, ARGV[6] to [8] message, failure (JSON)
           and group of its errors then
  ARGV[9.] for each run: id, lease or ""
  Result   for each its new state, or "!unknown", "!stale" or "!is <state>"
]]
--- @include "transitions"

local answer = {}
for i = 9, #ARGV, 2 do
  local job, refusal
  if ARGV[3] == "" then
    job, refusal = findRun(ARGV[i], ARGV[i + 1], ARGV[2])
  else
    job = findJob(ARGV[i], "*")
    if not job or job.st ~= "a" or (ARGV[i + 1] ~= "" and job.lease ~= ARGV[i + 1]) then job, refusal = nil, "stale" end
    if job and ARGV[3] == "overdue" then
      local deadline = tonumber(rcall("ZSCORE", p .. "leases", job.id) or nil)
      if not deadline or deadline > now then job, refusal = nil, "stale"
      else tellToStop(job, "lost") end
    end
  end
  if refusal then answer[#answer + 1] = "!" .. refusal
  elseif ARGV[4] == "" then answer[#answer + 1] = releaseRun(job)
  else answer[#answer + 1] = crashRun(job, ARGV[3] == "overdue" and "stalled" or "crashed", ARGV[4], tonumber(ARGV[5]), ARGV[6], ARGV[7], ARGV[8]) end
end
settle()
return answer
