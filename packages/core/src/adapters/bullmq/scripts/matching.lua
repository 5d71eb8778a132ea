--[[
  Of some jobs, those that match.
  ARGV[2]  the filter, as `matches` has it; ARGV[3.] ids
  Result   ids, in the same order
]]
--- @include "matches"

readFilter(ARGV[2])

-- Whoever asks knows the states. Failures are many, and a call for each is what takes long: it is kept short.
local function failedSo(id)
  local lane = laneAt(id)
  local message = lane and rcall("HGET", lane.key .. "j" .. id, "failedReason")
  return message and contains(message)
end

local timed = filter.least or filter.greatest or filter.since or filter["until"]
local meets = filter.text and not timed and failedSo or matches
local answer = {}
for i = 3, #ARGV do
  local id = tonumber(ARGV[i])
  if meets(id) then answer[#answer + 1] = id end
end
return answer
