--[[
  Fields of payloads that jobs can be found by, as `payload-paths.ts` has it. A lane's are in the field `paths` of its
  settings, JSON: [path, last id looked at, last id to be looked at], ...; one that has looked at all is complete.
  An index is a sorted set of equal scores: the value's key, a NUL, the id in 16 digits.
]]
local function pathsOf(lane)
  if lane.pathList == nil then lane.pathList = lane.paths and cjson.decode(lane.paths) or {} end
  return lane.pathList
end

local function indexKey(lane, path) return lane.key .. "ix:" .. path end

local function valueKey(value)
  local kind = type(value)
  if kind == "boolean" then return value and "t" or "f" end
  if value == cjson.null then return "z" end
  if kind == "number" then
    local bytes = struct.pack(">d", value == 0 and 0 or value)
    return "n" .. string.gsub(bytes, ".", function(byte) return string.format("%02x", string.byte(byte)) end)
  end
  if kind ~= "string" then return nil end
  if #value <= 200 and not string.find(value, "%z") then return "s" .. value end
  return "h" .. redis.sha1hex(value)
end

local function memberOf(value, id) return value .. "\0" .. string.format("%016d", id) end

local function keyAt(payload, path)
  local value = payload
  local first = true
  for name in string.gmatch(path, "[^.]+") do
    if first then first = false
    else
      if type(value) ~= "table" then return nil end
      local field = value[name]
      -- Places count from 0.
      if field == nil and (name == "0" or string.find(name, "^[1-9]%d*$")) then field = value[tonumber(name) + 1] end
      value = field
    end
  end
  return valueKey(value)
end

-- Adds a job's payload ("data" or "result", JSON text) to its lane's indexes, or takes it out ("ZREM").
local function indexPayload(lane, id, which, text, command)
  if not lane.paths or not text then return end
  local payload
  for _, entry in ipairs(pathsOf(lane)) do
    local path = entry[1]
    if string.match(path, "^%a+") == which then
      if payload == nil then
        local sound, value = pcall(cjson.decode, text)
        if not sound then return end
        payload = value
      end
      local key = keyAt(payload, path)
      if key then
        if command == "ZREM" then rcall("ZREM", indexKey(lane, path), memberOf(key, id))
        else rcall("ZADD", indexKey(lane, path), 0, memberOf(key, id)) end
      end
    end
  end
end
