--[[
  Deletes jobs that finished before given times, except those that others wait for.
  ARGV[2]  completed before this; ARGV[3] failed or cancelled before this; ARGV[4] jobs at most
  Result   for each removed one what `erase` tells
]]
--- @include "transitions"
--- @include "erase"

local before = { c = tonumber(ARGV[2]), f = tonumber(ARGV[3]), x = tonumber(ARGV[3]) }
local left = tonumber(ARGV[4])
local removed = {}

local function pruneLane(lane, st)
  local key = lane.key .. FINISHED[st]
  local spared = 0
  while left > 0 do
    local members = rcall("ZRANGEBYSCORE", key, "-inf", "(" .. before[st], "LIMIT", spared, math.min(left, 500))
    if #members == 0 then break end
    for _, member in ipairs(members) do
      local job = findJob(string.sub(member, 2), "*", lane)
      if job and job.hasDependents and rcall("EXISTS", p .. "dependents:" .. job.id) == 1 then
        spared = spared + 1
      else
        rcall("ZREM", key, member)
        if job then
          removed[#removed + 1] = erase(job)
          left = left - 1
        end
      end
    end
  end
  local head = rcall("ZRANGE", key, spared, spared, "WITHSCORES")[2]
  if head then rcall("ZADD", p .. "oldest:" .. st, head, lane.name)
  elseif spared > 0 then rcall("ZADD", p .. "oldest:" .. st, before[st], lane.name)
  else rcall("ZREM", p .. "oldest:" .. st, lane.name) end
end

for st in pairs(FINISHED) do
  for _, name in ipairs(rcall("ZRANGEBYSCORE", p .. "oldest:" .. st, "-inf", "(" .. before[st])) do
    if left <= 0 then break end
    local lane = laneNamed(name)
    if lane then pruneLane(lane, st) end
  end
end
settle()
return removed
