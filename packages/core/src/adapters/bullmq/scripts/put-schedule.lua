--[[
  ARGV[2]  `tenant name`; ARGV[3] "new", "existing" or ""; ARGV[4] the record (JSON); ARGV[5] its next run, or "" if it
           must not fire; ARGV[6] its last run or ""
  Result   "ok", "duplicate" or "unknown"
]]
--- @include "base"

local exists = rcall("HEXISTS", p .. "schedules", ARGV[2]) == 1
if ARGV[3] == "new" and exists then return "duplicate" end
if ARGV[3] == "existing" and not exists then return "unknown" end
rcall("HSET", p .. "schedules", ARGV[2], ARGV[4])
rcall("SADD", p .. "scheduleTenants", string.match(ARGV[2], "^%S+"))
rcall("HSET", p .. "scheduleDue", ARGV[2], ARGV[5])
rcall("HSET", p .. "scheduleLast", ARGV[2], ARGV[6])
return "ok"
