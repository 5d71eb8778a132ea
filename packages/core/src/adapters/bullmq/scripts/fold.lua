--[[
  Folds one lane's old minutes into hours and old hours into its total.
  ARGV[2]  the lane's name (or `tenant.` of typed queues together); ARGV[3] minutes before this are old; ARGV[4] hours
  Invariant: the sums over all spans stay what they are.
]]
--- @include "base"
--- @include "tallies"

local key = p .. ARGV[2] .. ":rollup"
local minutes, hours = tonumber(ARGV[3]), tonumber(ARGV[4])
local all = rcall("HGETALL", key)
local into = {}
for i = 1, #all, 2 do
  local span, at, rest = string.match(all[i], "^(%a)(%d+)(|.*)$")
  at = tonumber(at)
  local target
  if span == "m" and at < minutes then
    local hour = at - at % 3600000
    target = hour < hours and "t0" .. rest or "h" .. hour .. rest
  elseif span == "h" and at < hours then
    target = "t0" .. rest
  end
  if target then
    local sums = {}
    for word in string.gmatch(all[i + 1], "%S+") do sums[#sums + 1] = tonumber(word) or false end
    local known = into[target] and encodeSums(into[target])
    into[target] = mergeSums(known or rcall("HGET", key, target), sums)
    rcall("HDEL", key, all[i])
  end
end
for target, sums in pairs(into) do rcall("HSET", key, target, encodeSums(sums)) end
return #all
