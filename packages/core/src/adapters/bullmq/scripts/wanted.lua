--[[
  The lanes that a tenant (or "*") and a list of queues stand for; "*" stands for all queues.
]]
local function wantedLanes(tenant, queues)
  local names = {}
  local tenants = tenant == "*" and rcall("SMEMBERS", p .. "tenants") or { tenant }
  for _, t in ipairs(tenants) do
    for _, queue in ipairs(queues or rcall("SMEMBERS", p .. "queues:" .. t)) do names[#names + 1] = t .. "." .. queue end
  end
  loadLanes(names)
  local found = {}
  for _, name in ipairs(names) do found[#found + 1] = laneNamed(name) end
  return found
end

-- ARGV from `at` on: "*", or "" and the queues' names.
local function queuesFrom(at)
  if ARGV[at] == "*" then return nil end
  local queues = {}
  for i = at + 1, #ARGV do queues[#queues + 1] = ARGV[i] end
  return queues
end
