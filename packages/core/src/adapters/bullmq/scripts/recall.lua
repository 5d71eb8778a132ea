--[[
  The answer to earlier calls with an idempotency key.
  ARGV[2]  `tenant:key`
  Result   its lines (see `answers`), or false
]]
--- @include "base"
--- @include "answers"

return keptAnswer(ARGV[2])
