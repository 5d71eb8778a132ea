--[[
  ARGV[2]  `tenant name`; ARGV[3] version that it replaces, or "" where there is to be none; ARGV[4] the record (JSON);
  ARGV[5] its next run, or "" if it must not fire; ARGV[6] its last run or ""
  Result   its version, or "changed" when there is another one
]]
--- @include "base"

if (rcall("HGET", p .. "scheduleVersion", ARGV[2]) or "") ~= ARGV[3] then return "changed" end
rcall("HSET", p .. "schedules", ARGV[2], ARGV[4])
rcall("SADD", p .. "scheduleTenants", string.match(ARGV[2], "^%S+"))
rcall("HSET", p .. "scheduleDue", ARGV[2], ARGV[5])
rcall("HSET", p .. "scheduleLast", ARGV[2], ARGV[6])
local version = rcall("INCR", p .. "scheduleVersions")
rcall("HSET", p .. "scheduleVersion", ARGV[2], version)
return version
