--[[
  What fills a store begins with; nothing here is called from outside.
  ARGV[2]  section and ARGV[3] place up to which it is filled; ARGV[4] and ARGV[5] those up to which it is filled then
  Invariant: a step that was sent by a process that is dead now is done before the next process' first step, or not at all.
]]
--- @include "base"

local filled = rcall("HMGET", p .. "move", "section", "after")
if filled[1] ~= ARGV[2] or filled[2] ~= ARGV[3] then
  return redis.error_reply("MOVED the store is not filled as far as it should be")
end
rcall("HSET", p .. "move", "section", ARGV[4], "after", ARGV[5])

local at = 5
local function take()
  at = at + 1
  return ARGV[at]
end
-- A list behind its length.
local function takeMany()
  local count = tonumber(take())
  local from = at + 1
  at = at + count
  return from, at
end
