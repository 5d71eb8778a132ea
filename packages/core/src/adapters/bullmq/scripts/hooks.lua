--[[
  What a tenant's webhooks ask for, where `tell` looks it up; nothing here is called from outside.
  `hooks` has for each tenant with webhooks that are heard the lines `queue|event`, of every queue where it is empty;
  `hooked` is there as long as there is one.
]]
--- @include "base"

local function rehook(tenant)
  local lines = {}
  local all = rcall("HGETALL", p .. "webhooks")
  for i = 1, #all, 2 do
    local owner, record = string.match(all[i + 1], "^%d+ (%S+) (.*)$")
    if owner == tenant then
      local webhook = cjson.decode(record)
      local health = rcall("HGET", p .. "webhookHealth", all[i])
      local disabled = health and cjson.decode(health).disabled ~= cjson.null
      if webhook.enabled and not disabled then
        local queue = webhook.queue == cjson.null and "" or webhook.queue
        for _, event in ipairs(webhook.events) do lines[#lines + 1] = queue .. "|" .. event end
      end
    end
  end
  if #lines > 0 then
    rcall("HSET", p .. "hooks", tenant, "\n" .. table.concat(lines, "\n") .. "\n")
    rcall("SET", p .. "hooked", "1")
  else
    rcall("HDEL", p .. "hooks", tenant)
    if rcall("EXISTS", p .. "hooks") == 0 then rcall("DEL", p .. "hooked") end
  end
end
