--[[ Result: for each schedule its record (JSON), its next run as far as it may fire or "", its last run or "", its version. ]]
--- @include "base"

local answer = {}
local all = rcall("HGETALL", p .. "schedules")
for i = 1, #all, 2 do
  answer[#answer + 1] = {
    all[i + 1], rcall("HGET", p .. "scheduleDue", all[i]), rcall("HGET", p .. "scheduleLast", all[i]),
    rcall("HGET", p .. "scheduleVersion", all[i]),
  }
end
return answer
