--[[
  Jobs whose last failure has a text in its message, of those that failed for good or may run again.
  ARGV[2]  the filter, as `matches` has it
  ARGV[3.] tenants, then "", then buckets
  Result   ids, in no order
]]
--- @include "matches"

readFilter(ARGV[2])
local tenants = {}
local at = 3
while ARGV[at] ~= "" do
  tenants[#tenants + 1] = ARGV[at]
  at = at + 1
end
local answer = {}
for i = at + 1, #ARGV do
  for _, tenant in ipairs(tenants) do
    local key = errorHash({ tenant = tenant }, ARGV[i])
    local places
    for n, message in ipairs(rcall("HVALS", key)) do
      if contains(message) then
        places = places or rcall("HKEYS", key)
        answer[#answer + 1] = ARGV[i] * BUCKET + places[n]
      end
    end
  end
end
return answer
