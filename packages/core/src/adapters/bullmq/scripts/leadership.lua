--[[ Stands for leadership: one instance leads at a time, through at most one node. ]]
local function standFor(asking, asNode, lasts)
  local key = p .. "leader"
  local l = rcall("HMGET", key, "instance", "node", "until", "nodeUntil")
  local instance, node = l[1], l[2]
  local ends = tonumber(l[3] or 0)
  if ends <= now then instance = false end
  if not instance or tonumber(l[4] or 0) <= now then node = false end
  if instance and instance ~= asking then return false, ends - now end
  if asNode == "" then
    rcall("HSET", key, "instance", asking, "node", node or "", "until", now + lasts)
  elseif node and node ~= "" and node ~= asNode then
    return false, 0
  else
    rcall("HSET", key, "instance", asking, "node", asNode, "until", now + lasts, "nodeUntil", now + lasts)
  end
  return true, lasts
end
