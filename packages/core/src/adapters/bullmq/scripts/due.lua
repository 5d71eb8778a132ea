--[[
  Does what is due: delayed jobs become ready, expired ones fail, rate windows open. Runs out of time are only named:
  what becomes of them is decided outside.
  ARGV[2]  steps at most
  Result   "1" if more is due, ms until the next due thing or "" for none, then for each overdue run its id, lease,
           "timeout" or "lease", attempts, options (JSON), lane's name, lease ms, timeout ms
  Invariant: a lane's entry in `due` is never later than the first thing of its kind in that lane.
]]
--- @include "transitions"
--- @include "payload-paths"

local steps = tonumber(ARGV[2])
local overdue = {}
local taken = 0

-- When this is due again.
local function plan(what, score)
  if score then rcall("ZADD", p .. "due", score, what) else rcall("ZREM", p .. "due", what) end
end

local function headOf(key)
  return rcall("ZRANGE", key, 0, 0, "WITHSCORES")[2]
end

local function promoteDelayed(lane)
  local key = lane.key .. "delayed"
  local found = rcall("ZRANGEBYSCORE", key, "-inf", now * 4096 + 4095, "WITHSCORES", "LIMIT", 0, steps)
  local jobs = {}
  for i = 1, #found, 2 do
    jobs[#jobs + 1] = { id = tonumber(string.sub(found[i], 2)), at = math.floor(tonumber(found[i + 1]) / 4096) }
  end
  -- A moment cut off in the middle is left for the next step, where all of it is sorted.
  if #jobs == steps and jobs[1].at < jobs[#jobs].at then
    local last = jobs[#jobs].at
    while jobs[#jobs].at == last do jobs[#jobs] = nil end
  end
  table.sort(jobs, function(a, b)
    if a.at ~= b.at then return a.at < b.at end
    return a.id < b.id
  end)
  -- Ordinary ones together, as `makeReady` would one by one.
  local out, ready = {}, {}
  for _, entry in ipairs(jobs) do
    local member = "j" .. string.format("%.0f", entry.id)
    local f = rcall("HMGET", lane.key .. member, "st", "priority", "lf")
    out[#out + 1] = member
    if f[1] == "d" and f[2] == "0" and not f[3] then
      rcall("HSET", lane.key .. member, "ra", nowText)
      rcall("HDEL", lane.key .. member, "st")
      mark(entry.id, lane, "w", 0)
      ready[#ready + 1] = member
    elseif f[1] == "d" then
      makeReady(findJob(entry.id, "*", lane))
    end
  end
  if #out > 0 then
    many("ZREM", key, out)
    touch(lane)
  end
  if #ready > 0 then
    many("LPUSH", lane.key .. "wait", ready)
    lane.filled = true
  end
  taken = taken + #jobs
  local head = headOf(key)
  plan("d" .. lane.name, head and math.floor(tonumber(head) / 4096))
end

local function expire(lane)
  local key = lane.key .. "expiry"
  local found = rcall("ZRANGEBYSCORE", key, "-inf", now, "LIMIT", 0, steps)
  for _, member in ipairs(found) do
    rcall("ZREM", key, member)
    local job = findJob(string.sub(member, 2), "*", lane)
    -- A job that has been started lives on, even while it waits for another attempt.
    if job and job.expireAt and job.expireAt <= now and job.starts == 0 and job.st ~= "a" and not FINISHED[job.st] then
      drop(job, "f", "expired", '{"code":"expired","message":"expired"}', errorGroupNamed("expired"))
    end
  end
  taken = taken + #found
  plan("x" .. lane.name, headOf(key))
end

local function nameOverdue()
  local key = p .. "leases"
  for _, id in ipairs(rcall("ZRANGEBYSCORE", key, "-inf", now, "LIMIT", 0, steps)) do
    local job = findJob(id, "*")
    if job and job.st == "a" then
      overdue[#overdue + 1] = job.id
      overdue[#overdue + 1] = job.lease
      overdue[#overdue + 1] = job.timeoutAt and job.timeoutAt <= now and "timeout" or "lease"
      overdue[#overdue + 1] = job.attempts
      overdue[#overdue + 1] = rcall("HGET", job.key, "opts")
      overdue[#overdue + 1] = job.lane.name
      overdue[#overdue + 1] = job.leaseMs
      overdue[#overdue + 1] = job.timeoutMs or 0
    else
      rcall("ZREM", key, id)
    end
  end
  plan("l", headOf(key))
end

-- Takes some of the jobs that are there into the lane's indexes.
local function buildIndexes(lane)
  local from, ends
  for _, entry in ipairs(pathsOf(lane)) do
    if entry[2] < entry[3] then
      from = math.min(from or entry[2], entry[2])
      ends = math.max(ends or 0, entry[3])
    end
  end
  if not from then return plan("i" .. lane.name) end
  local own = bytesOf(lane.no)
  local id, bytes, left = from, 0, math.min(steps, 200)
  while id < ends and left > 0 and bytes < 1000000 do
    id = id + 1
    local no = math.floor(id / BUCKET)
    local bucket = rcall("GET", p .. "ids:" .. no)
    local last = math.min(no * BUCKET + BUCKET - 1, ends)
    left = left - 1
    for each = id, bucket and last or id - 1 do
      id = each
      local at = (each % BUCKET) * 4
      if string.sub(bucket, at + 1, at + 3) == own then
        local f = rcall("HMGET", lane.key .. "j" .. each, "data", "df", "returnvalue", "rf")
        if f[1] and not f[2] then indexPayload(lane, each, "data", f[1]) end
        if f[3] and not f[4] then indexPayload(lane, each, "result", f[3]) end
        bytes = bytes + #(f[1] or "") + #(f[3] or "")
        left = left - 1
        if left <= 0 or bytes >= 1000000 then break end
      end
    end
    if not bucket then id = last end
  end
  local finished = true
  for _, entry in ipairs(pathsOf(lane)) do
    if entry[2] < id then entry[2] = id end
    if entry[2] < entry[3] then finished = false end
  end
  setLane(lane, "paths", cjson.encode(pathsOf(lane)))
  taken = taken + steps
  plan("i" .. lane.name, not finished and now or nil)
end

for _, member in ipairs(rcall("ZRANGEBYSCORE", p .. "due", "-inf", now, "LIMIT", 0, steps)) do
  if taken >= steps then break end
  local kind = string.sub(member, 1, 1)
  local lane = laneNamed(string.sub(member, 2))
  if kind == "l" then nameOverdue()
  elseif lane == nil then rcall("ZREM", p .. "due", member)
  elseif kind == "d" then promoteDelayed(lane)
  elseif kind == "x" then expire(lane)
  elseif kind == "i" then buildIndexes(lane)
  else
    rcall("ZREM", p .. "due", member)
    touch(lane)
  end
end
settle()

local head = tonumber(headOf(p .. "due") or nil)
return { head and head <= now and "1" or "0", head and tostring(math.max(0, head - now)) or "", unpack(overdue) }
