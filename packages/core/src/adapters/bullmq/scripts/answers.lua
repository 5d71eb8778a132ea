--[[
  What calls with an idempotency key were answered. Redis forgets them by itself; the engine's time decides before.
  An answer is kept as lines: until when, count of jobs, "1" if atomic, note, and those of the script `enqueue`.
]]
local function keptAnswer(call)
  local kept = rcall("GET", p .. "answer:" .. call)
  if kept and tonumber(string.match(kept, "^%d+")) > now then return kept end
  return false
end

local function keepAnswer(call, keptMs, count, atomic, note, answer)
  local head = { now + keptMs, count, atomic, note }
  local text = table.concat(head, "\n") .. "\n" .. table.concat(answer, "\n")
  rcall("SET", p .. "answer:" .. call, text, "PX", keptMs)
end
