--[[ Merges what scripts have tallied into the lanes' roll-ups; answers whether there was anything. ]]
local function mergeSums(text, sums)
  if not text then return sums end
  local old = {}
  for word in string.gmatch(text, "%S+") do old[#old + 1] = tonumber(word) or false end
  for i = 1, 13 do
    if i == 8 then
      if old[8] and (not sums[8] or old[8] < sums[8]) then sums[8] = old[8] end
    elseif i == 9 then
      if old[9] and (not sums[9] or old[9] > sums[9]) then sums[9] = old[9] end
    elseif i == 12 then
      if old[12] > sums[12] then sums[12] = old[12] end
    else
      sums[i] = sums[i] + old[i]
    end
  end
  return sums
end

local function encodeSums(sums)
  local words = {}
  for i = 1, 13 do words[i] = sums[i] and string.format("%.17g", sums[i]) or "-" end
  return table.concat(words, " ")
end

local function sumsAt(byKey, minute, name, level, project)
  local key = p .. name .. ":rollup"
  local fields = byKey[key]
  if fields == nil then
    fields = {}
    byKey[key] = fields
  end
  local at = "m" .. minute .. "|" .. level .. "|" .. project
  local sums = fields[at]
  if sums == nil then
    sums = { 0, 0, 0, 0, 0, 0, 0, false, false, 0, 0, 0, 0 }
    fields[at] = sums
  end
  return sums
end

-- Merges what whole scripts have tallied, until that were so many sums; answers how many scripts.
local function mergeTallies(most)
  local byKey = {}
  local scripts, sumsMerged, minute = 0, 0, nil
  local function sumsOf(key)
    local level, name, project = string.match(key, "^(%d)|([^|]*)|(.*)$")
    sumsMerged = sumsMerged + 1
    return sumsAt(byKey, minute, name, level, project)
  end
  local function take(at, counted, took, peaks)
    minute = string.format("%.0f", at)
    for what, ofKeys in pairs(counted) do
      for key, times in pairs(ofKeys) do
        local sums = sumsOf(key)
        sums[what] = sums[what] + times
      end
    end
    for key, ran in pairs(took) do
      local sums = sumsOf(key)
      sums[2] = sums[2] + ran[1]
      sums[7] = sums[7] + ran[2]
      sums[8] = sums[8] and math.min(sums[8], ran[3]) or ran[3]
      sums[9] = sums[9] and math.max(sums[9], ran[4]) or ran[4]
      sums[10] = sums[10] + ran[5]
      sums[11] = sums[11] + ran[6]
    end
    for name, runsAtOnce in pairs(peaks) do
      local sums = sumsAt(byKey, minute, name, "2", "")
      sums[12] = math.max(sums[12], runsAtOnce)
      sumsMerged = sumsMerged + 1
    end
  end
  while sumsMerged < most do
    local packed = rcall("LPOP", p .. "tallies")
    if not packed then break end
    take(unpack(cmsgpack.unpack(packed)))
    scripts = scripts + 1
  end
  for key, fields in pairs(byKey) do
    for at, sums in pairs(fields) do
      rcall("HSET", key, at, encodeSums(mergeSums(rcall("HGET", key, at), sums)))
    end
  end
  return scripts
end
