--[[
  An instance (one opened adapter) makes itself known.
  ARGV[2]  its id; ARGV[3] where it runs, `host pid`
  Result   id, place and silence in ms of each instance known
]]
--- @include "base"

rcall("HSET", p .. "instances", ARGV[2], now .. " " .. ARGV[3])
local answer = { now }
local all = rcall("HGETALL", p .. "instances")
for i = 1, #all, 2 do
  local heard, where = string.match(all[i + 1], "^(%d+) (.*)$")
  answer[#answer + 1] = { all[i], where, now - tonumber(heard) }
end
return answer
