-- KEYS: epoch, scopes, token, then five for each scope.
-- ARGV: token, amount, unit, when it expires (ms), its epoch, an epoch if there is none, time to keep it after that in ms,
-- what was spent or '' to release it, names of the scopes.
-- Answers committed, repeated, late, lost | released | used, state, actual or '' | unknown | foreign | unit, which scope,
-- its unit | overflow, which scope.
local token, amount, unit, expires_at, token_epoch = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local fresh, keep, actual = ARGV[6], tonumber(ARGV[7]), ARGV[8]
local commits = actual ~= ''
local names = table.concat(ARGV, '\n', 9)
local now = clock()
local epoch = redis.call('GET', KEYS[1])

local before = redis.call('HMGET', KEYS[3], 'state', 'scopes', 'amount', 'unit', 'expires_at', 'actual', 'late', 'lost')
local state = before[1]
-- A server that throws data away when it is full may have only this key lost: the scopes know the reservation, too.
local function is_open()
  for k = 4, #KEYS, 5 do
    local score = redis.call('ZSCORE', KEYS[k + 2], token)
    if not score or tonumber(score) ~= tonumber(expires_at) or redis.call('HGET', KEYS[k + 3], token) ~= amount then
      return false
    end
  end
  return true
end

local lost = not state and not is_open()
if lost then
  -- In the epoch in which it was made, nothing can have been lost; later than this, it may have been forgotten.
  if epoch == token_epoch or now > tonumber(expires_at) + keep then
    return {'unknown'}
  end
elseif state and (before[2] ~= names or before[3] ~= amount or before[4] ~= unit or before[5] ~= expires_at) then
  return {'foreign'}
elseif state == 'committed' then
  if actual == before[6] then
    return {'committed', '1', before[7], before[8]}
  end
  return {'used', state, before[6]}
elseif state == 'released' then
  if commits then
    return {'used', state, ''}
  end
  return {'released'}
end

local late = not lost and tonumber(expires_at) <= now
local unknown = {}
if commits then
  for k = 4, #KEYS, 5 do
    local number = (k - 4) / 5 + 1
    local _, spent, _, counted = read(k)
    if counted and counted ~= unit then
      return {'unit', number, counted}
    end
    if not fits(LARGEST, spent, actual, '0') then
      return {'overflow', number}
    end
    unknown[number] = not counted
  end
end

for k = 4, #KEYS, 5 do
  local number = (k - 4) / 5 + 1
  expire(k, now)
  if redis.call('ZREM', KEYS[k + 2], token) + redis.call('HDEL', KEYS[k + 3], token) == 2 then
    redis.call('HINCRBY', KEYS[k + 4], 'reserved', '-' .. amount)
  end
  if commits then
    if unknown[number] then
      found(k, KEYS[2], ARGV[8 + number], unit)
    end
    redis.call('INCRBY', KEYS[k + 1], actual)
    if not fits(amount, actual, '0', '0') then
      redis.call('HINCRBY', KEYS[k + 4], 'overruns', 1)
    end
    if late then
      redis.call('HINCRBY', KEYS[k + 4], 'late', 1)
    end
    if lost then
      redis.call('HINCRBY', KEYS[k + 4], 'lost', 1)
    end
  end
end
if not epoch then
  redis.call('SET', KEYS[1], fresh)
end
redis.call('HSET', KEYS[3], 'state', commits and 'committed' or 'released', 'scopes', names, 'amount', amount,
  'unit', unit, 'expires_at', expires_at, 'actual', actual, 'late', late and '1' or '0', 'lost', lost and '1' or '0')
redis.call('PEXPIRE', KEYS[3], math.max(tonumber(expires_at) - now, 0) + keep)
if commits then
  return {'committed', '0', late and '1' or '0', lost and '1' or '0'}
end
return {'released'}
