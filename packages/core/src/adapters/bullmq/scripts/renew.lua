--[[
  Keeps runs alive.
  ARGV[2]  tenant or "*"; ARGV[3] lease ms; ARGV[4] "" or "w:<worker>": all its runs as well
  ARGV[5.] for each run: id, lease or ""
  Result   for each "ok", "unknown", "stale" or "is <state>"; those wanted to stop are told so again
]]
--- @include "transitions"

local leaseMs = tonumber(ARGV[3])
local answer = {}
for i = 5, #ARGV, 2 do
  local job, refusal = findRun(ARGV[i], ARGV[i + 1], ARGV[2])
  if job then
    renewRun(job, leaseMs)
    if job.stop then tellToStop(job, "cancelled") end
  end
  answer[#answer + 1] = refusal or "ok"
end
if ARGV[4] ~= "" then
  for _, id in ipairs(rcall("SMEMBERS", p .. "runs:" .. ARGV[4])) do
    local job = findJob(id, ARGV[2])
    if job and job.st == "a" and (not job.timeoutAt or now < job.timeoutAt) then renewRun(job, leaseMs) end
  end
end
settle()
return answer
