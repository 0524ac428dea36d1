-- What every script begins with. A scope has five keys: limit, spent, reserved (tokens by when they expire), amounts (of
-- those tokens) and scope (its unit, the sum that is reserved, and counts). `k` is the place of the first of them in KEYS.

local LARGEST = '9223372036854775807'

-- Lua's numbers lose digits above 2^53: a sum of money is a text here, and for arithmetic two numbers.
local function halves(text)
  local length = #text
  if length <= 9 then
    return 0, tonumber(text)
  end
  return tonumber(string.sub(text, 1, length - 9)), tonumber(string.sub(text, length - 8))
end

local function fits(most, first, second, third)
  local most_high, most_low = halves(most)
  local a_high, a_low = halves(first)
  local b_high, b_low = halves(second)
  local c_high, c_low = halves(third)
  local low = a_low + b_low + c_low
  local carried = math.floor(low / 1e9)
  local high = a_high + b_high + c_high + carried
  low = low - carried * 1e9
  return high < most_high or (high == most_high and low <= most_low)
end

-- Milliseconds by this server's clock: no client's clock is ever asked.
local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Frees what expired reservations of a scope hold. Removing comes first: a server without memory allows it, and after it
-- whatever else belongs to the same step.
local function expire(k, now)
  local reserved, amounts, scope = KEYS[k + 2], KEYS[k + 3], KEYS[k + 4]
  local due = redis.call('ZRANGEBYSCORE', reserved, '-inf', now, 'LIMIT', 0, 1000)
  while #due > 0 do
    redis.call('ZREMRANGEBYRANK', reserved, 0, #due - 1)
    for _, amount in ipairs(redis.call('HMGET', amounts, unpack(due))) do
      if amount then
        redis.call('HINCRBY', scope, 'reserved', '-' .. amount)
      end
    end
    redis.call('HDEL', amounts, unpack(due))
    due = redis.call('ZRANGEBYSCORE', reserved, '-inf', now, 'LIMIT', 0, 1000)
  end
end

-- A scope's limit, what is spent and reserved, and its unit; false for what it does not have. Where a server has lost a
-- part of a scope, the limit does not count: what it limited is not known any more.
local function read(k)
  local money = redis.call('MGET', KEYS[k], KEYS[k + 1])
  local about = redis.call('HMGET', KEYS[k + 4], 'unit', 'reserved')
  local limit = money[1]
  if not (money[2] and about[1]) then
    limit = false
  end
  return limit, money[2] or '0', about[1] and about[2] or '0', about[1]
end

-- Sums anew what is reserved. Where a server has lost a part of a scope, the sum is not that of what is open.
local function recount(k)
  redis.call('HDEL', KEYS[k + 4], 'reserved')
  for _, token in ipairs(redis.call('ZRANGE', KEYS[k + 2], 0, -1)) do
    local amount = redis.call('HGET', KEYS[k + 3], token)
    if amount then
      redis.call('HINCRBY', KEYS[k + 4], 'reserved', amount)
    end
  end
end

-- Makes what a scope lacks.
local function found(k, names_key, name, unit)
  redis.call('HSET', KEYS[k + 4], 'unit', unit)
  recount(k)
  redis.call('SETNX', KEYS[k + 1], '0')
  redis.call('SADD', names_key, name)
end
