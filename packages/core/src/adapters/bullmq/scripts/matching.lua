--[[
  Of some jobs, those that match.
  ARGV[2]  the filter, as `matches` has it; ARGV[3.] ids
  Result   ids, in the same order
]]
--- @include "matches"

readFilter(ARGV[2])
local answer = {}
for i = 3, #ARGV do
  local id = tonumber(ARGV[i])
  if matches(id) then answer[#answer + 1] = id end
end
return answer
