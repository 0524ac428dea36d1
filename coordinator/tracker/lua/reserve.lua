-- KEYS: epoch, scopes, token, then five for each scope.
-- ARGV: token, amount, unit, ttl in ms, time to keep it after that in ms, an epoch if there is none, names of the scopes.
-- Answers granted, expires at (ms), epoch | denied, which scope, limit or '', spent, reserved | unit, which scope, its unit.
local token, amount, unit, ttl, keep, fresh = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local now = clock()

-- The answer to the first call may have been lost.
local before = redis.call('HMGET', KEYS[3], 'expires_at', 'epoch')
if before[1] then
  return {'granted', before[1], before[2]}
end

local unknown = {}
local bounded = false
for k = 4, #KEYS, 5 do
  local number = (k - 4) / 5 + 1
  expire(k, now)
  local limit, spent, reserved, counted = read(k)
  if counted and counted ~= unit then
    return {'unit', number, counted}
  end
  bounded = bounded or limit
  if not bounded then
    return {'denied', number, '', spent, reserved}
  end
  if not fits(limit or LARGEST, spent, reserved, amount) then
    return {'denied', number, limit or LARGEST, spent, reserved}
  end
  unknown[number] = not counted
end

local epoch = redis.call('GET', KEYS[1])
if not epoch then
  epoch = fresh
  redis.call('SET', KEYS[1], epoch)
end
local expires_at = now + tonumber(ttl)
for k = 4, #KEYS, 5 do
  local number = (k - 4) / 5 + 1
  if unknown[number] then
    found(k, KEYS[2], ARGV[6 + number], unit)
  end
  redis.call('ZADD', KEYS[k + 2], expires_at, token)
  redis.call('HSET', KEYS[k + 3], token, amount)
  redis.call('HINCRBY', KEYS[k + 4], 'reserved', amount)
end
redis.call('HSET', KEYS[3], 'state', 'held', 'scopes', table.concat(ARGV, '\n', 7), 'amount', amount, 'unit', unit,
  'expires_at', expires_at, 'epoch', epoch)
redis.call('PEXPIRE', KEYS[3], tonumber(ttl) + tonumber(keep))
return {'granted', tostring(expires_at), epoch}
