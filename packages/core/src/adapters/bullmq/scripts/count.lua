--[[
  Settings of lanes, and their jobs by state.
  ARGV[2]  tenant or "*"; ARGV[3] "*" for all queues, or "" and ARGV[4.] their names
  Result   for each lane its name and number, "1" if typed, "1" if paused, rate limit or "", concurrency or "", indexed paths
           (JSON) or "", and its jobs waiting, delayed, blocked, active, completed, failed, cancelled
]]
--- @include "base"
--- @include "wanted"

local answer = {}
for _, lane in ipairs(wantedLanes(ARGV[2], queuesFrom(3))) do
  local key = lane.key
  answer[#answer + 1] = {
    lane.name, lane.no, lane.typed and "1" or "0", lane.paused and "1" or "0",
    lane.max and tostring(lane.max) or "", lane.concurrency and tostring(lane.concurrency) or "",
    lane.paths or "", rcall("LLEN", key .. "wait") + rcall("ZCARD", key .. "prioritized"),
    rcall("ZCARD", key .. "delayed"), rcall("ZCARD", key .. "waiting-children"), rcall("LLEN", key .. "active"),
    rcall("ZCARD", key .. "completed"), rcall("ZCARD", key .. "failed"), rcall("ZCARD", key .. "cancelled"),
  }
end
return answer
