--[[
  Keeps what runs report, and the runs alive.
  ARGV[2]  tenant or "*"; ARGV[3] lease ms
  ARGV[4.] for each run: id, lease or "", percent or "", message as JSON ("null" takes it away) or "", statistics (JSON) or ""
  Result   for each "ok", "unknown", "stale" or "is <state>"
]]
--- @include "transitions"

local leaseMs = tonumber(ARGV[3])
local answer = {}
for i = 4, #ARGV, 5 do
  local job, refusal = findRun(ARGV[i], ARGV[i + 1], ARGV[2])
  answer[#answer + 1] = refusal or "ok"
  if job then
    if ARGV[i + 2] ~= "" then rcall("HSET", job.key, "progress", ARGV[i + 2]) end
    if ARGV[i + 3] ~= "" then rcall("HSET", job.key, "pm", ARGV[i + 3]) end
    if ARGV[i + 4] ~= "" then rcall("HSET", job.key, "ps", ARGV[i + 4]) end
    if job.timeoutMs and job.mode == "p" then
      job.timeoutAt = now + job.timeoutMs
      rcall("HSET", job.key, "run", encodeRun(job))
    end
    renewRun(job, leaseMs)
    local kept = rcall("HMGET", job.key, "progress", "pm")
    tell("job.progress", job.lane, job.id,
      '{"progress":' .. (kept[1] or "0") .. ',"message":' .. (kept[2] or "null") .. "}")
  end
end
settle()
return answer
