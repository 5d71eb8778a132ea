--[[
  The roll-ups of lanes, and those that stand for their tenants' typed queues together.
  ARGV[2]  tenant or "*"; ARGV[3] "*" for all queues, or "" and ARGV[4.] their names
  Result   for each lane its name and its hash of roll-ups; the lanes of typed queues together have no queue's name
]]
--- @include "base"
--- @include "wanted"
--- @include "tallies"

while mergeTallies(1000) > 0 do end

local answer = {}
local tenants = {}
for _, lane in ipairs(wantedLanes(ARGV[2], queuesFrom(3))) do
  answer[#answer + 1] = lane.name
  answer[#answer + 1] = rcall("HGETALL", lane.key .. "rollup")
  tenants[lane.tenant] = true
end
for tenant in pairs(tenants) do
  answer[#answer + 1] = tenant .. "."
  answer[#answer + 1] = rcall("HGETALL", p .. tenant .. ".:rollup")
end
return answer
