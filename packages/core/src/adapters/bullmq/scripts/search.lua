--[[
  Looks through some jobs in the order of their ids, and tells those that match.
  ARGV[2]  "asc" or "desc"; ARGV[3] the id to go on behind, or "" to begin; ARGV[4] the last id to look at, or ""
  ARGV[5]  jobs looked at, at most
  ARGV[6]  the filter (JSON): tenant, queues, states (letters), least, greatest, since, until, labels, text and folds
           (its letters beyond ASCII, upper and lower), group (of failed jobs), path and value (its key), tell (whether
           the states matter to who asks)
  ARGV[7]  where the jobs are: "lanes" (ARGV[8.] names of lanes), "sets" (ARGV[8.] sets scored by id), "values" (ARGV[8.]
           indexes of the path) or "ids" (ARGV[8.])
  Result   where to go on, or "" at the end; how many match by state, in the order w d b a c f x; then their ids
]]
--- @include "base"
--- @include "payload-paths"

local ascending, cursor, last, most = ARGV[2] == "asc", tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local filter = cjson.decode(ARGV[6])
local LETTERS = "wdbacfx"
local newest = tonumber(rcall("GET", p .. "id") or 0)
local queues
if filter.queues then
  queues = {}
  for _, queue in ipairs(filter.queues) do queues[queue] = true end
end

local function numberAt(bytes, at)
  local a, b, c, d = string.byte(bytes, at + 1, at + 4)
  return d and a + b * 256 + c * 65536 + d * 16777216 or 0
end

local bucketNo, bucketBytes
local function laneAt(id)
  local no = math.floor(id / BUCKET)
  if no ~= bucketNo then
    bucketNo = no
    bucketBytes = rcall("GET", p .. "ids:" .. no) or ""
  end
  local number = numberAt(bucketBytes, (id % BUCKET) * 4)
  if number == 0 then return nil end
  return laneOfNo(number)
end

-- Up to `count` ids of one set behind the cursor, in order.
local function scored(key, count)
  local from, to
  if ascending then from, to = cursor and "(" .. cursor or "-inf", last or "+inf"
  else from, to = cursor and "(" .. cursor or "+inf", last or "-inf" end
  local command = ascending and "ZRANGEBYSCORE" or "ZREVRANGEBYSCORE"
  local found = rcall(command, key, from, to, "LIMIT", 0, count)
  for i = 1, #found do found[i] = tonumber(found[i]) end
  return found
end

local function valued(key, count)
  local value = filter.value
  local from, to
  if ascending then from, to = cursor and "(" .. memberOf(value, cursor) or "[" .. value .. "\0", "(" .. value .. "\1"
  else from, to = "(" .. (cursor and memberOf(value, cursor) or value .. "\1"), "[" .. value .. "\0" end
  local found = rcall(ascending and "ZRANGEBYLEX" or "ZREVRANGEBYLEX", key, from, to, "LIMIT", 0, count)
  for i = 1, #found do found[i] = tonumber(string.sub(found[i], -16)) end
  return found
end

-- Up to `most` ids behind the cursor, in order, and where to go on.
local function candidates()
  local ids = {}
  if ARGV[7] == "ids" then
    for i = 8, #ARGV do ids[#ids + 1] = tonumber(ARGV[i]) end
    return ids, ""
  end
  if ARGV[7] == "lanes" then
    local wanted = {}
    for i = 8, #ARGV do
      local lane = laneNamed(ARGV[i])
      if lane then wanted[lane.no] = true end
    end
    local looked = 0
    local id
    if ascending then id = (cursor or 0) + 1 else id = math.min((cursor or newest + 1) - 1, newest) end
    local ends = last or (ascending and newest or 1)
    if ascending then ends = math.min(ends, newest) else ends = math.max(ends, 1) end
    while looked < most and (ascending and id <= ends or not ascending and id >= ends) do
      local no = math.floor(id / BUCKET)
      local bytes = rcall("GET", p .. "ids:" .. no)
      local stop = ascending and math.min(no * BUCKET + BUCKET - 1, ends) or math.max(no * BUCKET, ends)
      if bytes then
        for each = id, stop, ascending and 1 or -1 do
          id = each
          if wanted[numberAt(bytes, (each % BUCKET) * 4)] then ids[#ids + 1] = each end
          if #ids >= most then break end
        end
      else
        id = stop
      end
      -- A bucket costs about as much as some jobs.
      looked = math.max(#ids, looked + 20)
      id = ascending and id + 1 or id - 1
    end
    if ascending and id > ends or not ascending and id < ends then return ids, "" end
    return ids, tostring(ascending and id - 1 or id + 1)
  end
  local each = math.max(10, math.floor(most / math.max(1, #ARGV - 7)))
  local bound
  for i = 8, #ARGV do
    local found = ARGV[7] == "values" and valued(p .. ARGV[i], each) or scored(p .. ARGV[i], each)
    local final = found[#found]
    for _, id in ipairs(found) do ids[#ids + 1] = id end
    -- Beyond the end of a part that was cut off, the others have to wait for it.
    if #found == each and (not bound or (ascending and final < bound or not ascending and final > bound)) then
      bound = final
    end
  end
  table.sort(ids, function(a, b)
    if ascending then return a < b end
    return a > b
  end)
  if not bound then return ids, "" end
  while #ids > 0 and (ascending and ids[#ids] > bound or not ascending and ids[#ids] < bound) do ids[#ids] = nil end
  return ids, tostring(bound)
end

local function contains(message)
  message = string.lower(message)
  for _, fold in ipairs(filter.folds) do message = string.gsub(message, fold[1], fold[2]) end
  return string.find(message, filter.text, 1, true) ~= nil
end

local function hasLabels(text)
  if not text then return false end
  local has = {}
  for _, label in ipairs(cjson.decode(text)) do has[label] = true end
  for _, label in ipairs(filter.labels) do
    if not has[label] then return false end
  end
  return true
end

-- Only the fields that are asked for: to look for one that is not there takes longest.
local fields, placeOf = {}, {}
local function need(wanted, field)
  if not wanted or placeOf[field] then return end
  fields[#fields + 1] = field
  placeOf[field] = #fields
end
need(filter.least or filter.greatest, "priority")
need(filter.since or filter["until"], "timestamp")
need(filter.labels, "lb")
need(filter.text, "failedReason")
need(filter.group, "eg")
need(filter.tell or filter.states or filter.text or filter.group, "st")

-- The letter of the job's state (or of any, where nobody asks for it) if it matches.
local function matches(id)
  local lane = laneAt(id)
  if not lane or (filter.tenant ~= "*" and filter.tenant ~= lane.tenant) then return nil end
  if queues and not queues[lane.queue] then return nil end
  local f = #fields > 0 and rcall("HMGET", lane.key .. "j" .. id, unpack(fields)) or {}
  local function of(field) return placeOf[field] and f[placeOf[field]] end
  local st = of("st") or "w"
  if filter.states and not string.find(filter.states, st, 1, true) then return nil end
  local priority, created = tonumber(of("priority") or 0), tonumber(of("timestamp") or nil)
  if filter.least and priority < filter.least or filter.greatest and priority > filter.greatest then return nil end
  if filter.since and created < filter.since or filter["until"] and created >= filter["until"] then return nil end
  if filter.labels and not hasLabels(of("lb")) then return nil end
  if filter.value and ARGV[7] ~= "values"
    and not rcall("ZSCORE", indexKey(lane, filter.path), memberOf(filter.value, id)) then return nil end
  if filter.group and (st ~= "f" or of("eg") ~= filter.group) then return nil end
  -- A cancelled job has a reason, not an error.
  if filter.text and (st == "x" or st == "c" or not of("failedReason") or not contains(of("failedReason"))) then return nil end
  return st
end

local ids, goOn = candidates()
local answer = { goOn, 0, 0, 0, 0, 0, 0, 0 }
for _, id in ipairs(ids) do
  local st = matches(id)
  if st then
    local place = string.find(LETTERS, st, 1, true) + 1
    answer[place] = answer[place] + 1
    answer[#answer + 1] = id
  end
end
return answer
