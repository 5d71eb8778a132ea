--[[
  Ids of the jobs with a label, in their order.
  ARGV[2]  tenant or "*"; ARGV[3] the label, `kind:value`
  Result   one list of ids for each tenant
]]
--- @include "base"

local answer = {}
for _, tenant in ipairs(ARGV[2] == "*" and rcall("SMEMBERS", p .. "tenants") or { ARGV[2] }) do
  answer[#answer + 1] = rcall("ZRANGE", p .. "label:" .. tenant .. ":" .. ARGV[3], 0, -1)
end
return answer
