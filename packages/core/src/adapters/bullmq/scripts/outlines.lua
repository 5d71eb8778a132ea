--[[
  Reads some fields of jobs.
  ARGV[2]  tenant or "*"; ARGV[3.] fields, then "", then ids
  Result   for each its lane's name and the fields' values, or an empty list
]]
--- @include "base"

local fields = {}
local at = 3
while ARGV[at] ~= "" do
  fields[#fields + 1] = ARGV[at]
  at = at + 1
end
local answer = {}
for i = at + 1, #ARGV do
  local lane = laneOf(tonumber(ARGV[i]))
  local row = {}
  if lane and (ARGV[2] == "*" or ARGV[2] == lane.tenant) then
    local values = rcall("HMGET", lane.key .. "j" .. ARGV[i], "timestamp", unpack(fields))
    if values[1] then
      values[1] = lane.name
      row = values
    end
  end
  answer[#answer + 1] = row
end
return answer
