--[[ Deletes a job's last traces, once it lies nowhere; answers its lane's name, its id, and the files it leaves behind. ]]
local function forgetId(id)
  local no = math.floor(id / BUCKET)
  local bucket = p .. "ids:" .. no
  facts[id] = nil
  rcall("SETRANGE", bucket, (id % BUCKET) * 4, "\0\0\0\0")
  -- A bucket of a thousand ids lives as long as one of them does.
  if rcall("INCR", bucket .. ":gone") >= BUCKET then
    rcall("DEL", bucket, bucket .. ":gone")
    rcall("ZREM", p .. "ids:earliest", no)
    rcall("ZREM", p .. "ids:latest", no)
  end
end

--- @include "payload-paths"

local function erase(job)
  tally(job, REMOVED)
  if job.st == "f" or job.attempts > 0 then forgetError(job) end
  local f = rcall("HMGET", job.key, "df", "rf", "lb", "data", "returnvalue")
  if f[3] then
    for _, label in ipairs(cjson.decode(f[3])) do
      local set = labelSet(job.lane, label, math.floor(job.id / BUCKET))
      rcall("SETBIT", set, job.id % BUCKET, 0)
      if rcall("BITPOS", set, 1) == -1 then rcall("DEL", set) end
    end
  end
  indexPayload(job.lane, job.id, "data", f[4], "ZREM")
  indexPayload(job.lane, job.id, "result", f[5], "ZREM")
  rcall("DEL", job.key, job.key .. ":logs", job.key .. ":runs", job.key .. ":dependencies")
  forgetId(job.id)
  local gone = { job.lane.name, job.id }
  for _, file in ipairs({ f[1] and f[4] or "", f[2] and f[5] or "" }) do
    if file ~= "" then
      gone[#gone + 1] = file
      rcall("SREM", p .. "files", cjson.decode(file).file)
    end
  end
  return gone
end
