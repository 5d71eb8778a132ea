--[[
  Somebody listens to events: they are written to the log for so long.
  ARGV[2]  ms
  Result   the cursor of the newest event
  Invariant: each span in which events are written has an epoch of its own, the first part of its cursors.
]]
--- @include "base"

local epoch = rcall("GET", p .. "listening")
if not epoch then
  epoch = tostring(rcall("INCR", p .. "epoch"))
  rcall("SET", p .. "listening", epoch, "PX", ARGV[2])
  -- Holds number 0, which no event has.
  rcall("XADD", p .. "events", epoch .. "-0", "e", "", "x", "")
else
  rcall("PEXPIRE", p .. "listening", ARGV[2])
end
return rcall("XREVRANGE", p .. "events", "+", "-", "COUNT", 1)[1][1]
