--[[
  Reads jobs with all that hangs on them, by id.
  ARGV[2]  the id to go on behind; ARGV[3] the newest id; ARGV[4] jobs at most; ARGV[5] bytes, about; ARGV[6] buckets of ids at most
  Result   the id behind which to go on; then for each job its lane's name, id, hash, log, runs, and of the jobs that it
           depends on: queue, id, "1" if done
]]
--- @include "base"

local id, newest = tonumber(ARGV[2]), tonumber(ARGV[3])
local left, bytesLeft, bucketsLeft = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local answer = { "" }

local function dependenciesOf(lane, key, job, hash)
  local found = {}
  local ids
  for f = 1, #hash, 2 do
    if hash[f] == "dp" then ids = hash[f + 1]
    elseif hash[f] == "finishedOn" then return found end
  end
  for parent in string.gmatch(ids or "", "%d+") do
    local of = rcall("ZSCORE", p .. "dependents:" .. parent, lane.name .. ":j" .. job) and laneOf(tonumber(parent))
    if of then
      found[#found + 1] = of.queue
      found[#found + 1] = parent
      found[#found + 1] = rcall("SISMEMBER", key .. ":dependencies", of.key .. "j" .. parent) == 1 and "0" or "1"
    end
  end
  return found
end

local function read(job, lane)
  local key = lane.key .. "j" .. job
  local hash = rcall("HGETALL", key)
  if #hash == 0 then return end
  for i = 2, #hash, 2 do bytesLeft = bytesLeft - #hash[i] end
  local logs, runs = {}, {}
  if rcall("EXISTS", key .. ":logs", key .. ":runs") > 0 then
    logs = rcall("LRANGE", key .. ":logs", 0, -1)
    runs = rcall("LRANGE", key .. ":runs", 0, -1)
    for _, line in ipairs(logs) do bytesLeft = bytesLeft - #line end
  end
  local count = #answer
  answer[count + 1] = lane.name
  answer[count + 2] = job
  answer[count + 3] = hash
  answer[count + 4] = logs
  answer[count + 5] = runs
  answer[count + 6] = dependenciesOf(lane, key, job, hash)
  left = left - 1
end

while id < newest and left > 0 and bytesLeft > 0 and bucketsLeft > 0 do
  local bucket = math.floor((id + 1) / BUCKET)
  local bytes = rcall("GET", p .. "ids:" .. bucket)
  local last = math.min(bucket * BUCKET + BUCKET - 1, newest)
  bucketsLeft = bucketsLeft - 1
  if not bytes then id = last end
  while id < last and left > 0 and bytesLeft > 0 do
    id = id + 1
    local at = (id % BUCKET) * 4
    local a, b, c = string.byte(bytes, at + 1, at + 3)
    local no = c and a + b * 256 + c * 65536 or 0
    if no > 0 then read(id, laneOfNo(no)) end
  end
end
answer[1] = string.format("%.0f", id)
return answer
