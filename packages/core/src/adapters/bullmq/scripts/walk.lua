--[[
  Ids of jobs of some lanes and states in their order, from the index of ids: for pages of large queues, whose structures
  are too long to be read whole.
  ARGV[2]  "asc" or "desc"; ARGV[3] the id to go on behind, or "" to begin; ARGV[4] ids wanted at most
  ARGV[5]  buckets looked at at most; ARGV[6] letters of the states ("w" = waiting), in one string
  ARGV[7.] names of the lanes
  Result   where to go on, or "" at the end, then the ids
]]
--- @include "base"

local ascending = ARGV[2] == "asc"
local most, buckets, states = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local all = #states == 7
local newest = tonumber(rcall("GET", p .. "id") or 0)
local laneOfBytes = {}
for i = 7, #ARGV do
  local lane = laneNamed(ARGV[i])
  if lane then laneOfBytes[bytesOf(lane.no)] = lane end
end

local id = tonumber(ARGV[3])
if ascending then id = (id or 0) + 1 else id = math.min((id or newest + 1) - 1, newest) end
local answer = { "" }

local function isWanted(lane, job)
  if all then return true end
  return string.find(states, rcall("HGET", lane.key .. "j" .. job, "st") or "w", 1, true) ~= nil
end

while buckets > 0 and id >= 1 and id <= newest and #answer <= most do
  local bucket = math.floor(id / BUCKET)
  local bytes = rcall("GET", p .. "ids:" .. bucket)
  local first, last = bucket * BUCKET, bucket * BUCKET + BUCKET - 1
  while bytes and id >= first and id <= last and #answer <= most do
    local at = (id - first) * 4
    local lane = laneOfBytes[string.sub(bytes, at + 1, at + 4)]
    if lane and isWanted(lane, id) then answer[#answer + 1] = id end
    id = ascending and id + 1 or id - 1
  end
  if not bytes then id = ascending and last + 1 or first - 1 end
  buckets = buckets - 1
end
if id >= 1 and id <= newest then answer[1] = tostring(ascending and id - 1 or id + 1) end
return answer
