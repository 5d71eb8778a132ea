--[[
  Adds lines to a run's log, where BullMQ keeps a job's.
  ARGV[2]  tenant or "*"; ARGV[3] id; ARGV[4] lease or ""; ARGV[5] lines kept; ARGV[6.] lines
  Result   "ok", "unknown", "stale" or "is <state>"
]]
--- @include "transitions"

local job, refusal = findRun(ARGV[3], ARGV[4], ARGV[2])
if refusal then return refusal end
local key = job.key .. ":logs"
for i = 6, #ARGV do rcall("RPUSH", key, now .. " " .. ARGV[i]) end
rcall("LTRIM", key, -tonumber(ARGV[5]), -1)
return "ok"
