--[[
  The roll-ups of lanes, and those that stand for their tenants' typed queues together.
  ARGV[2]  tenant or "*"; ARGV[3] only spans that begin at that time or later, or ""
  ARGV[4]  "*" for all queues, or "" and ARGV[5.] their names
  Result   for each lane its name and its hash of roll-ups; the lanes of typed queues together have no queue's name
]]
--- @include "base"
--- @include "wanted"
--- @include "tallies"

while mergeTallies(1000) > 0 do end

local from = tonumber(ARGV[3])

-- A day has thousands of them, a look at the last minutes wants a few.
local function rollupsIn(key)
  if not from then return rcall("HGETALL", key) end
  local wanted, found = {}, {}
  for _, field in ipairs(rcall("HKEYS", key)) do
    local at = tonumber(string.sub(field, 2, string.find(field, "|", 2, true) - 1))
    if at >= from and string.sub(field, 1, 1) ~= "t" then wanted[#wanted + 1] = field end
  end
  for first = 1, #wanted, 1000 do
    local last = math.min(first + 999, #wanted)
    for i, sums in ipairs(rcall("HMGET", key, unpack(wanted, first, last))) do
      found[#found + 1] = wanted[first + i - 1]
      found[#found + 1] = sums
    end
  end
  return found
end

local answer = {}
local tenants = {}
for _, lane in ipairs(wantedLanes(ARGV[2], queuesFrom(4))) do
  answer[#answer + 1] = lane.name
  answer[#answer + 1] = rollupsIn(lane.key .. "rollup")
  tenants[lane.tenant] = true
end
for tenant in pairs(tenants) do
  answer[#answer + 1] = tenant .. "."
  answer[#answer + 1] = rollupsIn(p .. tenant .. ".:rollup")
end
return answer
