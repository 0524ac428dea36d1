-- KEYS: epoch. ARGV: the server's replication id, an epoch if a new one begins. An epoch ends with data, and where another
-- server takes over or this one has begun anew: either may lack what was written last.
local epoch = redis.call('GET', KEYS[1])
if not epoch or string.sub(epoch, -#ARGV[1]) ~= ARGV[1] then
  -- Removing comes first, as a server without memory allows it, and after it the rest: else nobody could connect to it.
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[1], ARGV[2])
end
