--[[
  About where in the order of ids the jobs begin that were created at a time, if ids rise with creation times.
  ARGV[2]  the time
  Result   an id; no older job has a greater one
]]
--- @include "base"

local time = tonumber(ARGV[2])
local low, high = 0, math.floor(tonumber(rcall("GET", p .. "id") or 0) / BUCKET) + 1

-- When some job of a bucket was created.
local function createdIn(bucket)
  local bytes = rcall("GET", p .. "ids:" .. bucket)
  for at = 0, bytes and #bytes - 4 or -1, 4 do
    if string.sub(bytes, at + 1, at + 4) ~= "\0\0\0\0" then
      local id = bucket * BUCKET + at / 4
      local lane = laneOf(id)
      local created = lane and rcall("HGET", lane.key .. "j" .. id, "timestamp")
      if created then return tonumber(created) end
    end
  end
  return nil
end

-- Invariant: what lies in buckets below `low` is older.
while low < high do
  local middle = math.floor((low + high) / 2)
  local created
  -- Buckets whose jobs are all gone tell nothing.
  local at = middle
  while at < high and at < middle + 100 and not created do
    created = createdIn(at)
    if not created then at = at + 1 end
  end
  if created and created < time then low = at + 1
  elseif not created and at < high then break
  else high = middle end
end
-- The bucket before may hold both.
return math.max(0, low - 1) * BUCKET
