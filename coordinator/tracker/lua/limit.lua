-- KEYS: scopes, then five of the scope. ARGV: name, limit or '' for none, unit. Answers set | unit, its unit.
local name, limit, unit = ARGV[1], ARGV[2], ARGV[3]
expire(2, clock())
local _, spent, reserved, counted = read(2)
local used = spent ~= '0' or reserved ~= '0'
if limit == '' then
  redis.call('DEL', KEYS[2])
  if not used then
    redis.call('DEL', KEYS[3], KEYS[4], KEYS[5], KEYS[6])
    redis.call('SREM', KEYS[1], name)
  end
  return {'set'}
end
if used and counted and counted ~= unit then
  return {'unit', counted}
end
if counted and counted ~= unit then
  -- Another unit begins another history.
  redis.call('HDEL', KEYS[6], 'overruns', 'late', 'lost')
end
found(2, KEYS[1], name, unit)
redis.call('SET', KEYS[2], limit)
return {'set'}
