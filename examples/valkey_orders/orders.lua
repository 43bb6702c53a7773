-- The steps of ValkeyOrderRepository. Valkey runs one script at a time, so each step is atomic.
-- A place is the time of an order and its id, in digits of fixed width, which sort as text.
local call, owner = redis.call, ARGV[2]
local steps = {}

local function key(kind, rest)
  return owner .. ':' .. kind .. ':' .. (rest or '')
end

local function list(place, status, open)
  call('ZADD', key('list'), 0, place)
  call('ZADD', key('list', status), 0, place)
  call(open == '1' and 'SADD' or 'SREM', key('open'), place)
end

function steps.page(status, max, min, limit)
  local page = {}
  for i, place in ipairs(call('ZREVRANGEBYLEX', key('list', status), max, min, 'LIMIT', 0, limit)) do
    page[i] = {place, call('GET', key('order', place:sub(21)))}
  end
  return page
end

function steps.add(place, order, status, open, name, expires)
  local at, id, wish = place:sub(1, 20), place:sub(21), key('key', name)
  if at < (call('GET', key('refused')) or '') then return {'refused'} end
  local known = expires ~= '' and call('GET', wish)
  if known and known:sub(1, 20) > at then
    return {'known', known:sub(21), call('GET', key('order', known:sub(21)))}
  end
  local stored = call('GET', key('order', id))
  if stored then return {'stored', id, stored} end
  call('SET', key('order', id), order)
  list(place, status, open)
  call('SADD', 'owners:' .. id, owner)
  if known then call('ZREM', 'keys', known:sub(1, 20) .. wish) end
  if expires ~= '' then
    call('SET', wish, expires .. id)
    call('ZADD', 'keys', 0, expires .. wish)
  end
  return {'added', id, order}
end

function steps.replace(place, old, old_status, new, status, open)
  if call('GET', key('order', place:sub(21))) ~= old then return 0 end
  call('SET', key('order', place:sub(21)), new)
  call('ZREM', key('list', old_status), place)
  list(place, status, open)
  return 1
end

function steps.refuse(till)
  if call('SCARD', key('open')) > 0 then return 0 end
  if till > (call('GET', key('refused')) or '') then call('SET', key('refused'), till) end
  return 1
end

function steps.purge(expired_before, limit)
  local expired = call('ZRANGEBYLEX', 'keys', '-', '(' .. expired_before, 'LIMIT', 0, limit)
  for _, each in ipairs(expired) do
    call('DEL', each:sub(21))
    call('ZREM', 'keys', each)
  end
  return #expired
end

return steps[ARGV[1]](unpack(ARGV, 3))
