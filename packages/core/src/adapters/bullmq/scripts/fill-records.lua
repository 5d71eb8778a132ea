--[[
  Adds or replaces records of one kind.
  ARGV[2.] see `filling`
  ARGV[6]  kind, then for each record
           queues: tenant.queue, "1" if typed, "1" if paused, rate limit or "", concurrency or "", indexed paths (JSON)
           rollups: tenant.queue, field, sums
           schedules: `tenant name`, tenant, record (JSON), next run or "", last run or "", version
           webhooks: id, tenant, made, record (JSON), health (JSON) or ""
           secrets: `tenant queue`, secret
           answers: `tenant:key`, its lines, ms until it is forgotten
           outbox: event, more (JSON) or ""
]]
--- @include "transitions"
--- @include "lane"
--- @include "hooks"
--- @include "filling"

local kind = take()
local hooksOf = {}

local fill = {
  queues = function()
    local name, typed = take(), take()
    local lane = laneNamed(name) or newLane(name, typed == "1")
    local paused, max, concurrency, paths = take(), take(), take(), cjson.decode(take())
    if paused == "1" then setLane(lane, "paused", "1") end
    if max ~= "" then setLane(lane, "max", max, "duration", "1000") end
    if concurrency ~= "" then setLane(lane, "concurrency", concurrency) end
    if #paths > 0 then
      -- The engine takes the jobs in once it serves.
      local indexes = {}
      for i, path in ipairs(paths) do indexes[i] = { path, 0, tonumber(rcall("GET", p .. "id")) } end
      setLane(lane, "paths", cjson.encode(indexes))
      addDue("i" .. name, now)
    end
  end,
  rollups = function() rcall("HSET", p .. take() .. ":rollup", take(), take()) end,
  schedules = function()
    local key = take()
    rcall("SADD", p .. "scheduleTenants", take())
    rcall("HSET", p .. "schedules", key, take())
    rcall("HSET", p .. "scheduleDue", key, take())
    rcall("HSET", p .. "scheduleLast", key, take())
    local version = take()
    rcall("HSET", p .. "scheduleVersion", key, version)
    if tonumber(version) > tonumber(rcall("GET", p .. "scheduleVersions") or 0) then
      rcall("SET", p .. "scheduleVersions", version)
    end
  end,
  webhooks = function()
    local id, tenant = take(), take()
    rcall("HSET", p .. "webhooks", id, take() .. " " .. tenant .. " " .. take())
    local health = take()
    if health ~= "" then rcall("HSET", p .. "webhookHealth", id, health) end
    if tonumber(id) > tonumber(rcall("GET", p .. "webhookId") or 0) then rcall("SET", p .. "webhookId", id) end
    hooksOf[tenant] = true
  end,
  secrets = function() rcall("HSET", p .. "incomingSecrets", take(), take()) end,
  answers = function()
    local key, text = p .. "answer:" .. take(), take()
    rcall("SET", key, text, "PX", take())
  end,
  outbox = function() rcall("XADD", p .. "outbox", "*", "e", take(), "x", take()) end,
}

while at < #ARGV do fill[kind]() end
for tenant in pairs(hooksOf) do rehook(tenant) end
return "ok"
