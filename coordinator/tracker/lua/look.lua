-- KEYS: five for each scope. Answers for each: limit or '', spent, reserved, unit or '', open reservations, overruns, late,
-- lost.
local now = clock()
local answers = {}
for k = 1, #KEYS, 5 do
  expire(k, now)
  local limit, spent, reserved, unit = read(k)
  local counts = redis.call('HMGET', KEYS[k + 4], 'overruns', 'late', 'lost')
  answers[#answers + 1] = {
    limit or '', spent, reserved, unit or '', redis.call('ZCARD', KEYS[k + 2]),
    counts[1] or '0', counts[2] or '0', counts[3] or '0'
  }
end
return answers
