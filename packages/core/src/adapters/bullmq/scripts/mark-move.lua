--[[
  What the store says of a move that it takes part in; while it says so, nobody serves it (see `alive`).
  ARGV[2]  "source", "target" or "none"; ARGV[3] the mark (JSON); ARGV[4] of a target, to begin with: its first number
  Invariant: a source has no counters. Without them no script adds a job or hands one out, whoever calls it, such as a
  process that was asleep when everybody looked whether the store is served.
]]
--- @include "base"

local key = p .. "move"
local counters = { "id", "claims" }
if ARGV[2] == "none" then
  for _, counter in ipairs(counters) do
    local kept = rcall("HGET", key, counter)
    if kept then rcall("SET", p .. counter, kept) end
  end
  rcall("DEL", key)
elseif ARGV[2] == "source" then
  if rcall("HEXISTS", key, "id") == 0 then
    for _, counter in ipairs(counters) do
      rcall("HSET", key, counter, rcall("GET", p .. counter) or 0)
      rcall("SET", p .. counter, "moved")
    end
  end
  rcall("HSET", key, "mark", ARGV[3])
else
  rcall("HSET", key, "mark", ARGV[3], "section", "queues", "after", "")
  local first = math.max(tonumber(ARGV[4]), (tonumber(rcall("GET", p .. "id") or nil) or 0) + 1)
  rcall("SET", p .. "id", string.format("%.0f", first - 1))
  rcall("SET", p .. "claims", string.format("%.0f", first))
  -- No cursor of an earlier store at this place is to mean anything.
  rcall("SET", p .. "epoch", math.floor(now / 1000))
end
return "ok"
