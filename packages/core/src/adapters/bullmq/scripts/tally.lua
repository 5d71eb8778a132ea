--[[
  Merges what was tallied into the roll-ups.
  ARGV[2]  scripts whose tallies are taken, at most
  Result   how many were
  Invariant: what is tallied and what is merged add up to what happened.
]]
--- @include "base"
--- @include "tallies"

return mergeTallies(tonumber(ARGV[2]))
