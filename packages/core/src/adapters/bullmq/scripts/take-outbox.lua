--[[
  The oldest events of the outbox, for one process alone.
  ARGV[2]  who asks; ARGV[3] how long it has the outbox to itself, ms; ARGV[4] events at most, 0: it is done with it
  Result   entries; for how long another has them, ms
]]
--- @include "base"

local key = p .. "outboxHolder"
local holder = rcall("GET", key)
local mine = holder == ARGV[2]
if ARGV[4] == "0" then
  if mine then rcall("DEL", key) end
  return { {}, 0 }
end
local entries = rcall("XRANGE", p .. "outbox", "-", "+", "COUNT", holder and not mine and 1 or ARGV[4])
if #entries == 0 then return { {}, 0 } end
if holder and not mine then return { {}, rcall("PTTL", key) } end
rcall("SET", key, ARGV[2], "PX", ARGV[3])
return { entries, 0 }
