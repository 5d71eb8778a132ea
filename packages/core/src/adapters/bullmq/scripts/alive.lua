--[[
  A sign of life of an instance (one opened adapter), which also stands for leadership of the upkeep.
  ARGV[2]  its id; ARGV[3] where it runs, `machine pid`; ARGV[4] how long leadership lasts, ms
  Result   the time; "1" if it leads; ms until whoever leads has to show up again; ms until the next due thing or "";
           how many tallies are to be merged; then id, place and silence in ms of each instance known.
           "moved" and the mark (JSON) of a store that must not be served (see `mark-move`)
]]
--- @include "base"
--- @include "leadership"

local mark = rcall("HGET", p .. "move", "mark")
if mark then return { "moved", mark } end
rcall("HSET", p .. "instances", ARGV[2], now .. " " .. ARGV[3])
local leads, ends = standFor(ARGV[2], "", tonumber(ARGV[4]))
local head = rcall("ZRANGE", p .. "due", 0, 0, "WITHSCORES")[2]
local answer = {
  now, leads and "1" or "0", ends, head and tostring(math.max(0, tonumber(head) - now)) or "",
  rcall("LLEN", p .. "tallies"),
}
local all = rcall("HGETALL", p .. "instances")
for i = 1, #all, 2 do
  local heard, where = string.match(all[i + 1], "^(%d+) (.*)$")
  answer[#answer + 1] = { all[i], where, now - tonumber(heard) }
end
return answer
