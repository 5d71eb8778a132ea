--[[
  Reads jobs whole.
  ARGV[2]  tenant or "*"; ARGV[3.] ids
  Result   for each its lane's name and hash, or "" and an empty list
]]
--- @include "base"

local answer = {}
for i = 3, #ARGV do
  local lane = laneOf(tonumber(ARGV[i]))
  local hash = {}
  if lane and (ARGV[2] == "*" or ARGV[2] == lane.tenant) then hash = rcall("HGETALL", lane.key .. "j" .. ARGV[i]) end
  answer[#answer + 1] = #hash > 0 and lane.name or ""
  answer[#answer + 1] = hash
end
return answer
