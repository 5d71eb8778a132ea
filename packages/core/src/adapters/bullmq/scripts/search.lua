--[[
  Looks through some jobs in the order of their ids, and tells those that match.
  ARGV[2]  "asc" or "desc"; ARGV[3] the id to go on behind, or "" to begin; ARGV[4] the last id to look at, or ""
  ARGV[5]  jobs looked at, at most
  ARGV[6]  the filter, as `matches` has it
  ARGV[7]  where the jobs are: "lanes" (ARGV[8.] names of lanes), "sets" (ARGV[8.] sets scored by id), "values" (ARGV[8.]
           indexes of the path) or "ids" (ARGV[8.])
  Result   where to go on, or "" at the end; how many match by state, in the order w d b a c f x; then their ids
]]
--- @include "matches"

local ascending, cursor, last, most = ARGV[2] == "asc", tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
readFilter(ARGV[6])
local sought = filter.value
-- An index has no others.
if ARGV[7] == "values" then filter.value = nil end
local LETTERS = "wdbacfx"
local newest = tonumber(rcall("GET", p .. "id") or 0)
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
  local value = sought
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
