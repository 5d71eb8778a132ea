--[[
  Groups of failed jobs of one lane.
  ARGV[2]  the lane's name; ARGV[3] group to go on behind, or ""; ARGV[4] from and ARGV[5] to: epoch ms, "-inf", "+inf"
  ARGV[6]  groups at most
  Result   where to go on, or ""; then of each group its name, jobs, first and last time, and its newest job
]]
--- @include "base"

local lane = laneNamed(ARGV[2])
if not lane then return { "" } end
local most = tonumber(ARGV[6])
local from, to = ARGV[4], ARGV[5] == "+inf" and "+inf" or "(" .. ARGV[5]
local cursor = ARGV[3] == "" and "-" or "(" .. ARGV[3]
local groups = rcall("ZRANGEBYLEX", lane.key .. "errorGroups", cursor, "+", "LIMIT", 0, most)
local answer = { #groups == most and groups[most] or "" }
for _, group in ipairs(groups) do
  local key = lane.key .. "errorTimes:" .. group
  local count = rcall("ZCOUNT", key, from, to)
  if count > 0 then
    local first = rcall("ZRANGEBYSCORE", key, from, to, "WITHSCORES", "LIMIT", 0, 1)
    local last = rcall("ZREVRANGEBYSCORE", key, to, from, "WITHSCORES", "LIMIT", 0, 1)
    answer[#answer + 1] = { group, count, first[2], last[2], string.sub(last[1], 2) }
  end
end
return answer
