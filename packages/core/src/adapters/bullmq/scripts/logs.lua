--[[
  ARGV[2]  tenant or "*"; ARGV[3] id; ARGV[4] offset; ARGV[5] limit
  Result   how many lines there are, then those asked for, each behind its time
]]
--- @include "base"

local lane = laneOf(tonumber(ARGV[3]))
if not lane or (ARGV[2] ~= "*" and ARGV[2] ~= lane.tenant) then return { 0 } end
local key = lane.key .. "j" .. ARGV[3] .. ":logs"
local from = tonumber(ARGV[4])
return { rcall("LLEN", key), unpack(rcall("LRANGE", key, from, from + tonumber(ARGV[5]) - 1)) }
