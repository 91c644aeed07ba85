"""How limits that several daemons share are divided in Redis: one script, which handles all limits of a claim or none.

Owns: the script. Must never: grant more than the limit, except for what was kept already.

KEYS: the server; then one hash for each limit: member → "granted used needs seen number". ARGV: the member, the claim's
number; then for each limit: limit, used, keeps, needs, lasts, last. Answer: for each limit: granted, elsewhere, slack
(`meshd/sdk/storage.py`: Grant). A claim that is older than what is recorded, because the network delayed it, changes
nothing; its answer is the newest claim's number.

A member that has not been seen for a while counts as all that it was granted, since it may still take that. Amounts
are exact up to 2^53.

A server that was restarted, or that has taken over from another, may lack the last grants. For SETTLING seconds, it
grants no more than what is kept; by then, each member that can reach it has asked. A member whose record cannot be read
counts as having been granted everything, until it asks again.
"""

from __future__ import annotations

DIVIDE = """
local LIVE, FORGOTTEN, SETTLING = 30, 90000, 15
local now = tonumber(redis.call('TIME')[1])
local me, number = ARGV[1], tonumber(ARGV[2])
local function read(record)
  local g, u, n, seen, its = string.match(record, '^(%d+) (%d+) (%d+) (%d+) ?(%d*)$')
  return tonumber(g), tonumber(u), tonumber(n), tonumber(seen), tonumber(its) or 0
end
local newest = number
for i = 2, #KEYS do
  local mine = redis.call('HGET', KEYS[i], me)
  if mine then newest = math.max(newest, select(5, read(mine))) end
end
if newest > number then return string.format('%.0f', newest) end
local info = redis.pcall('INFO', 'server')
local runs = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or '-'
local known, since = string.match(redis.call('GET', KEYS[1]) or runs .. ' 0', '^(%S+) (%d+)$')
if known ~= runs then since = now end
redis.call('SET', KEYS[1], string.format('%s %.0f', runs, since))
local settles = now - since < SETTLING
local answer = {}
for i = 2, #KEYS do
  local key, at = KEYS[i], 3 + (i - 2) * 6
  local limit, used, keeps = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local needs, lasts, last = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), ARGV[at + 5] == '1'
  local rolling = string.sub(key, -3) == '24h'
  local granted, elsewhere, waiting, members, yields = 0, 0, 0, 1, false
  local all = redis.call('HGETALL', key)
  for j = 1, #all, 2 do
    local member = all[j]
    if member ~= me then
      local g, u, n, seen = read(all[j + 1])
      if not g then g, u, n, seen = limit, 0, 0, now end
      if rolling and now - seen > FORGOTTEN then
        redis.call('HDEL', key, member)
      else
        local has = math.max(g, u)
        granted = granted + has
        if now - seen > LIVE then
          elsewhere = elsewhere + has
        else
          elsewhere = elsewhere + u
          members = members + 1
          waiting = waiting + n
          if n > 0 and needs > 0 and member < me then yields = true end
        end
      end
    end
  end
  local left = math.max(limit - elsewhere - used - waiting, 0)
  local slack = math.floor(left / members)
  if yields then slack, needs = 0, 0 end
  local want = used + math.max(slack, needs)
  if last then want = used end
  if settles then want = 0 end
  local grant = math.max(keeps, used, math.min(want, limit - granted))
  local record = string.format('%.0f %.0f %.0f %.0f %.0f', grant, used, tonumber(ARGV[at + 3]), now, number)
  redis.call('HSET', key, me, record)
  redis.call('EXPIRE', key, lasts)
  local spare = string.format('%.0f', math.max(slack, needs))
  answer[i - 1] = {string.format('%.0f', grant), string.format('%.0f', elsewhere), spare}
end
return answer
"""
