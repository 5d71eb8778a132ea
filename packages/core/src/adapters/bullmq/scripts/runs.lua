--[[
  The runs of a job that did not complete.
  ARGV[2]  tenant or "*"; ARGV[3] id; ARGV[4.] fields of the job
  Result   its lane's name and those fields, or an empty list; then its runs (JSON), oldest first
]]
--- @include "base"

local lane = laneOf(tonumber(ARGV[3]))
if not lane or (ARGV[2] ~= "*" and ARGV[2] ~= lane.tenant) then return { {} } end
local key = lane.key .. "j" .. ARGV[3]
local row = rcall("HMGET", key, "timestamp", unpack(ARGV, 4))
if not row[1] then return { {} } end
row[1] = lane.name
return { row, unpack(rcall("LRANGE", key .. ":runs", 0, -1)) }
