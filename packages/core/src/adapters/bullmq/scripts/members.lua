--[[
  Ids of the jobs of one lane in some states, in no order.
  ARGV[2]  the lane's name; ARGV[3.] states
  Result   one list of members ("j<id>") for each place they lie in
]]
--- @include "base"

local lane = laneNamed(ARGV[2])
if not lane then return {} end
local sets = { delayed = "delayed", blocked = "waiting-children", completed = "completed", failed = "failed",
  cancelled = "cancelled" }
local answer = {}
for i = 3, #ARGV do
  if ARGV[i] == "waiting" then
    answer[#answer + 1] = rcall("LRANGE", lane.key .. "wait", 0, -1)
    answer[#answer + 1] = rcall("ZRANGE", lane.key .. "prioritized", 0, -1)
  elseif ARGV[i] == "active" then
    answer[#answer + 1] = rcall("LRANGE", lane.key .. "active", 0, -1)
  else
    answer[#answer + 1] = rcall("ZRANGE", lane.key .. sets[ARGV[i]], 0, -1)
  end
end
return answer
