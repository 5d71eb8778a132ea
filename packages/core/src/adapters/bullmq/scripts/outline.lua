--[[
  What filters look at, of some jobs.
  ARGV[2.] ids
  Result   for each its lane's name (or "" where there is none), state's letter ("" = waiting), priority, creation time,
           labels (JSON) or "", "1" if it was given a name, and its name
]]
--- @include "base"

local answer = {}
for i = 2, #ARGV do
  local lane = laneOf(tonumber(ARGV[i]))
  local f = lane and rcall("HMGET", lane.key .. "j" .. ARGV[i], "timestamp", "st", "priority", "lb", "nm", "name")
  local row = { f and f[1] and lane.name or "" }
  if row[1] ~= "" then
    row = { lane.name, f[2] or "", f[3], f[1], f[4] or "", f[5] and "1" or "0", f[6] }
  end
  answer[#answer + 1] = row
end
return answer
