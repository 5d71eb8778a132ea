--[[
  Unfinished jobs that depend on a job.
  ARGV[2]  tenant or "*"; ARGV[3] its id; ARGV[4] ids wanted at most
  Result   how many there are, then the ids of the oldest
]]
--- @include "base"

local job = findJob(ARGV[3], ARGV[2])
if not job then return { 0 } end
local key = p .. "dependents:" .. job.id
local answer = { rcall("ZCARD", key) }
if tonumber(ARGV[4]) > 0 then
  for _, member in ipairs(rcall("ZRANGE", key, 0, tonumber(ARGV[4]) - 1)) do
    answer[#answer + 1] = string.match(member, ":j(%d+)$")
  end
end
return answer
