"""How limits that several daemons share are divided in Redis: one script, for all limits of a claim or none.

Owns: the script. Must never: grant more than the limit, except for what was kept already.

KEYS: one hash for each limit: member → "granted used needs seen". ARGV: the member; then for each limit: limit, used,
keeps, needs, lasts, last. Answer: for each limit: granted, elsewhere, slack (`meshd/sdk/storage.py`: Grant).

A member that has not been seen for a while counts as all that it was granted, since it may still take that. Amounts
are exact up to 2^53.
"""

from __future__ import annotations

DIVIDE = """
local LIVE, FORGOTTEN = 30, 90000
local now = tonumber(redis.call('TIME')[1])
local me = ARGV[1]
local answer = {}
for i, key in ipairs(KEYS) do
  local at = 2 + (i - 1) * 6
  local limit, used, keeps = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local needs, lasts, last = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), ARGV[at + 5] == '1'
  local rolling = string.sub(key, -3) == '24h'
  local granted, elsewhere, waiting, members, yields = 0, 0, 0, 1, false
  local all = redis.call('HGETALL', key)
  for j = 1, #all, 2 do
    local member = all[j]
    if member ~= me then
      local g, u, n, seen = string.match(all[j + 1], '^(%d+) (%d+) (%d+) (%d+)$')
      g, u, n, seen = tonumber(g), tonumber(u), tonumber(n), tonumber(seen)
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
  local grant = math.max(keeps, used, math.min(want, limit - granted))
  local record = string.format('%.0f %.0f %.0f %.0f', grant, used, tonumber(ARGV[at + 3]), now)
  redis.call('HSET', key, me, record)
  redis.call('EXPIRE', key, lasts)
  local spare = string.format('%.0f', math.max(slack, needs))
  answer[i] = {string.format('%.0f', grant), string.format('%.0f', elsewhere), spare}
end
return answer
"""
