--[[ Result: the cursor of the newest event; while nobody listens, one that leads nowhere. ]]
--- @include "base"

local epoch = rcall("GET", p .. "listening")
if not epoch then return (rcall("GET", p .. "epoch") or "0") .. "-none" end
return rcall("XREVRANGE", p .. "events", "+", "-", "COUNT", 1)[1][1]
