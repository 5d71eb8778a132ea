--[[
  Whether a job matches the filter that `filter` holds (JSON): tenant, queues, states (letters), least, greatest, since,
  until, labels, text and folds (its letters beyond ASCII, upper and lower), group (of failed jobs), path and value (its
  key), tell (whether the states matter to who asks).
]]
--- @include "base"
--- @include "payload-paths"

local filter
local function numberAt(bytes, at)
  local a, b, c = string.byte(bytes, at + 1, at + 3)
  return c and a + b * 256 + c * 65536 or 0
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

-- Many jobs fail alike.
local answers = {}
local function contains(message)
  local known = answers[message]
  if known == nil then
    local lower = string.lower(message)
    for _, fold in ipairs(filter.folds) do
      -- To look for plain text is quicker than for a pattern.
      if string.find(lower, fold[1], 1, true) then lower = string.gsub(lower, fold[1], fold[2]) end
    end
    known = string.find(lower, filter.text, 1, true) ~= nil
    answers[message] = known
  end
  return known
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
local queues
local fields, placeOf = {}, {}
local function need(wanted, field)
  if not wanted or placeOf[field] then return end
  fields[#fields + 1] = field
  placeOf[field] = #fields
end

local function readFilter(json)
  filter = cjson.decode(json)
  if filter.queues then
    queues = {}
    for _, queue in ipairs(filter.queues) do queues[queue] = true end
  end
  need(filter.least or filter.greatest, "priority")
  need(filter.since or filter["until"], "timestamp")
  need(filter.labels, "lb")
  need(filter.text, "failedReason")
  need(filter.group, "eg")
  need(filter.tell or filter.states or filter.text or filter.group, "st")
end

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
  if filter.value and not rcall("ZSCORE", indexKey(lane, filter.path), memberOf(filter.value, id)) then return nil end
  if filter.group and (st ~= "f" or of("eg") ~= filter.group) then return nil end
  -- A cancelled job has a reason, not an error.
  if filter.text and (st == "x" or st == "c" or not of("failedReason") or not contains(of("failedReason"))) then return nil end
  return st
end
