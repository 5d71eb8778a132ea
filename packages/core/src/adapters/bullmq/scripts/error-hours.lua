--[[
  How often a group of errors came in each of the last 24 hours.
  ARGV[2]  the lane's name; ARGV[3] the group; ARGV[4] from and ARGV[5] to, as in `error-groups`; ARGV[6] a job
  Result   24 counts, the oldest first, then the job's message or ""
]]
--- @include "base"

local lane = laneNamed(ARGV[2])
local key = lane.key .. "errorTimes:" .. ARGV[3]
local from, to = tonumber(ARGV[4]) or -math.huge, tonumber(ARGV[5]) or math.huge
local answer = {}
for hour = 23, 0, -1 do
  -- Whole milliseconds: what is after one is from the next on.
  local begins = math.max(now - (hour + 1) * 3600000 + 1, from)
  local ends = math.min(now - hour * 3600000, to - 1)
  answer[#answer + 1] = begins <= ends and rcall("ZCOUNT", key, begins, ends) or 0
end
answer[25] = rcall("HGET", lane.key .. "j" .. ARGV[6], "failedReason") or ""
return answer
