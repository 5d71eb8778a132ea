--[[
  States of jobs, as they themselves tell, by id.
  ARGV[2]  the id to go on behind; ARGV[3] the newest id; ARGV[4] buckets of ids at most
  Result   the id behind which to go on; then for each job its id, the number of its lane, and the letter of its state
           ("w" = waiting, "?" where it is not there)
]]
--- @include "base"

local id, newest, bucketsLeft = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local answer = { "" }
while id < newest and bucketsLeft > 0 do
  local bucket = math.floor((id + 1) / BUCKET)
  local bytes = rcall("GET", p .. "ids:" .. bucket)
  local last = math.min(bucket * BUCKET + BUCKET - 1, newest)
  bucketsLeft = bucketsLeft - 1
  for job = id + 1, bytes and last or id do
    local at = (job % BUCKET) * 4
    local a, b, c = string.byte(bytes, at + 1, at + 3)
    local no = c and a + b * 256 + c * 65536 or 0
    if no > 0 then
      local f = rcall("HMGET", laneOfNo(no).key .. "j" .. job, "timestamp", "st")
      answer[#answer + 1] = job
      answer[#answer + 1] = no
      answer[#answer + 1] = not f[1] and "?" or f[2] or "w"
    end
  end
  id = last
end
answer[1] = string.format("%.0f", id)
return answer
