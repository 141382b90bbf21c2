"""The scripts that run inside the server: each does in one step what must not be interrupted.

On a cluster an entry, the versions of its tags and its lease share a slot, so every script declares
all of its keys and they lie on one node.

A stored value begins with what the server must know of it: the size of this beginning (4 bytes),
then for each tag the length of its name (2), the name, and the version (17). Integers are
little-endian. Behind it come the bytes of our codec.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha1


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, and the digest by which the server knows it."""

    text: str
    digest: bytes = field(init=False)

    def __post_init__(self) -> None:
        # The server's own name for a script: https://redis.io/docs/latest/commands/evalsha/
        digest = sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "digest", digest.encode())


# KEYS: the versions of tags, then entries. ARGV: the number of this bucket as one byte, or nothing
# where there is only one; how many tags are kept; what versions are made of for tags that have
# none, a byte to begin with and 16 for each; then the tags asked for. A version of another bucket
# begins with another byte: whoever reads the value asks there.
LOOK = Script("""
local current = {}
for i = 4, #ARGV do
  current[ARGV[i]] = redis.call('HGET', KEYS[1], ARGV[i])
end
local found = {}
for i = 2, #KEYS do
  local value = redis.call('GET', KEYS[i])
  if value and value:sub(1, 4) ~= '\\4\\0\\0\\0' then
    local size, at = 0, 5
    if #value >= 4 then
      size = struct.unpack('<I4', value)
    end
    -- What we have not written is absent.
    if size < 4 or size > #value then
      value = false
    end
    while value and at <= size do
      local length = struct.unpack('<I2', value:sub(at, at + 1) .. '\\0')
      local name = value:sub(at + 2, at + 1 + length)
      local version = value:sub(at + 2 + length, at + 18 + length)
      at = at + 19 + length
      local here = ARGV[1] == '' or version:sub(1, 1) == ARGV[1]
      if here and (current[name] or redis.call('HGET', KEYS[1], name)) ~= version then
        value = false
        break
      end
    end
  end
  found[#found + 1] = value
end
for i = 4, #ARGV do
  local version = current[ARGV[i]]
  if not version then
    if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[2]) then
      redis.call('DEL', KEYS[1])
    end
    local at = 16 * (i - 4) + 2
    version = ARGV[3]:sub(1, 1) .. ARGV[3]:sub(at, at + 15)
    redis.call('HSET', KEYS[1], ARGV[i], version)
  end
  found[#found + 1] = version
end
return found
""")

# KEYS: entries. ARGV: the channel of the news, what to tell there.
FORGET = Script("""
local dropped = #KEYS > 0 and redis.call('DEL', unpack(KEYS)) or 0
redis.call('PUBLISH', ARGV[1], ARGV[2])
return dropped
""")

# KEYS: the lease. ARGV: our token, milliseconds, the channel, what to tell its holder.
# Returns nothing when the lease is ours. The first byte of a lease says whether somebody waits.
ACQUIRE = Script("""
local held = redis.call('GET', KEYS[1])
if not held then
  redis.call('SET', KEYS[1], 'n' .. ARGV[1], 'PX', ARGV[2])
  return false
end
if held:sub(1, 1) == 'n' then
  redis.call('SET', KEYS[1], 'w' .. held:sub(2), 'KEEPTTL')
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return held:sub(2)
""")

# KEYS: the lease, and the stream told under it if there is one. ARGV: our token, milliseconds.
RENEW = Script("""
local held = redis.call('GET', KEYS[1])
if held and held:sub(2) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
if KEYS[2] then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
""")

# KEYS: the lease. ARGV: our token, the channel, what to tell those who wait.
RELEASE = Script("""
local held = redis.call('GET', KEYS[1])
if held and held:sub(2) == ARGV[1] then
  redis.call('DEL', KEYS[1])
  if held:sub(1, 1) == 'w' then
    redis.call('PUBLISH', ARGV[2], ARGV[3])
  end
end
""")
