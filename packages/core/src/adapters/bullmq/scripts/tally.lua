--[[
  Merges what was tallied into the roll-ups.
  ARGV[2]  sums that are merged, at most; those of a script together
  Result   how many scripts' were
  Invariant: what is tallied and what is merged add up to what happened.
]]
--- @include "base"
--- @include "tallies"

return mergeTallies(tonumber(ARGV[2]))
