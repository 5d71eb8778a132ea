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

local function addSums(to, sums)
  for i = 1, 13 do
    if i == 8 then
      if sums[8] and (not to[8] or sums[8] < to[8]) then to[8] = sums[8] end
    elseif i == 9 then
      if sums[9] and (not to[9] or sums[9] > to[9]) then to[9] = sums[9] end
    elseif i == 12 then
      if sums[12] > to[12] then to[12] = sums[12] end
    else
      to[i] = to[i] + sums[i]
    end
  end
end

-- At most so many scripts' tallies.
local function mergeTallies(most)
  local packed = rcall("LPOP", p .. "tallies", most)
  if not packed then return 0 end
  local byKey = {}
  for _, one in ipairs(packed) do
    local minute, ofLanes = unpack(cmsgpack.unpack(one))
    for name, ofLane in pairs(ofLanes) do
      local key = p .. name .. ":rollup"
      local fields = byKey[key]
      if fields == nil then
        fields = {}
        byKey[key] = fields
      end
      for field, sums in pairs(ofLane) do
        local at = "m" .. minute .. "|" .. field
        if fields[at] then addSums(fields[at], sums) else fields[at] = sums end
      end
    end
  end
  for key, fields in pairs(byKey) do
    for at, sums in pairs(fields) do
      rcall("HSET", key, at, encodeSums(mergeSums(rcall("HGET", key, at), sums)))
    end
  end
  return #packed
end
