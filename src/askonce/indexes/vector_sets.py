"""An index in Redis 8 without the query engine: a vector set for each scope, texts in hashes.

Elements of a vector set do not expire. The hashes do: what has none any more is taken from its set
when it is found, and a set ends with the last of its wordings.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from askonce.indexes import redis_rows, vectors
from askonce.indexes.choosing import Read, is_alive, search
from askonce.indexes.redis_rows import (
    AT_ONCE,
    DROPPED_AT_ONCE,
    Missing,
    RedisLedger,
    Rows,
    in_parts,
    written,
)
from askonce.redis.address import Address
from askonce.redis.scripts import Script
from askonce.semantic.contract import Neighbour, Wording
from askonce.stores.breaker import Refused

# A set's name is made of its tag, which the hash knows: all names share a slot.

# KEYS: hashes. ARGV: what the names of sets begin with; how many neighbours are looked at; then for
# each hash its vector in single precision, when it ends in milliseconds, and its fields.
KEEP = Script("""
for i = 1, #KEYS do
  local at = 2 + 9 * (i - 1)
  local set = ARGV[1] .. ARGV[at + 3]
  local before = redis.call('HGET', KEYS[i], 'tag')
  if before and before ~= ARGV[at + 3] then
    redis.call('VREM', ARGV[1] .. before, KEYS[i])
  end
  redis.call('HSET', KEYS[i], 'tag', ARGV[at + 3], 'scope', ARGV[at + 4], 'answer', ARGV[at + 5],
    'text', ARGV[at + 6], 'expires', ARGV[at + 7], 'barred', ARGV[at + 8], 'vector', ARGV[at + 9])
  local is_new = redis.call('EXISTS', set) == 0
  redis.call('VADD', set, 'FP32', ARGV[at + 1], KEYS[i], 'EF', ARGV[2])
  if ARGV[at + 2] == '' then
    redis.call('PERSIST', KEYS[i])
    redis.call('PERSIST', set)
  else
    redis.call('PEXPIREAT', KEYS[i], ARGV[at + 2])
    if is_new then
      redis.call('PEXPIREAT', set, ARGV[at + 2])
    else
      redis.call('PEXPIREAT', set, ARGV[at + 2], 'GT')
    end
  end
end
""")

# KEYS: the set. ARGV: the vector, how many, how many are looked at, the tag.
# Returns for each its hash's name and fields, or nothing where it is gone.
LOOK = Script("""
local found = redis.call('VSIM', KEYS[1], 'FP32', ARGV[1], 'COUNT', ARGV[2], 'EF', ARGV[3])
local rows = {}
for i, name in ipairs(found or {}) do
  local row = redis.call('HMGET', name, 'tag',
    'scope', 'answer', 'text', 'expires', 'barred', 'vector')
  if row[1] == ARGV[4] then
    row[1] = name
    rows[i] = row
  else
    redis.call('VREM', KEYS[1], name)
    rows[i] = {}
  end
end
return rows
""")

# KEYS: hashes. ARGV: what the names of sets begin with.
DROP = Script("""
local dropped = 0
for i = 1, #KEYS do
  local tag = redis.call('HGET', KEYS[i], 'tag')
  if tag then
    redis.call('VREM', ARGV[1] .. tag, KEYS[i])
    dropped = dropped + redis.call('DEL', KEYS[i])
  end
end
return dropped
""")

WHEN_ADDING, WHEN_SEARCHING = 200, 200
"""Neighbours that are looked at."""

QUANTIZED = 2
"""Times as many are looked for as are wanted: a set holds numbers of 8 bits, and so mistakes near
ones for one another. The hashes have the vectors that decide."""


class VectorSets:
    """Wordings that all who know the server's address share. Nothing is opened before first use."""

    def __init__(
        self,
        url: str | Address,
        *,
        embedder: str,
        dimension: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rows = Rows(url, b"v", embedder=embedder, dimension=dimension, clock=clock)
        self._sets = self._rows.place + b"near:"
        self.ledger = RedisLedger(self._rows)
        """Counts on the same server."""

    def add(self, wordings: Sequence[Wording], vectors_: NDArray[Any]) -> None:
        """Keep wordings with their vectors, in place of what their keys held."""
        rows = vectors.halves(vectors_, len(wordings), self._rows.dimension)
        # What has expired must leave nothing: its set would keep it.
        now = self._rows.clock()
        given = list(zip(wordings, rows, strict=True))
        for part in in_parts(given, AT_ONCE):
            self._drop([it[0].key for it in part if not is_alive(it[0], now)])
            self._keep([it for it in part if is_alive(it[0], now)])

    def prepare(self) -> None:
        """Look whether the server has vector sets. Missing if not."""
        self._run(LOOK, [self._sets], (b"", 1, 1, b""))

    def nearest(self, scope: bytes, vector: NDArray[Any], count: int) -> Sequence[Neighbour]:
        """Return at most `count` wordings of this scope alone, the nearest first."""
        asked = vectors.question(vector, self._rows.dimension)
        blob = asked.astype("<f4").tobytes()
        tag = redis_rows.tag(scope)

        def find(wanted: int) -> list[Read | None]:
            many = QUANTIZED * wanted
            words = (blob, many, max(WHEN_SEARCHING, many), tag)
            found = self._run(LOOK, [self._sets + tag], words)
            return [self._rows.read(it[0], it[1:]) if it else None for it in found]

        return search(find, asked, count, scope=scope, now=self._rows.clock())

    def discard(self, keys: Sequence[bytes]) -> int:
        """Drop wordings and say how many there were."""
        return sum([self._drop(part) for part in in_parts(list(keys), DROPPED_AT_ONCE)])

    def scan(self, after: bytes = b"", limit: int = 500) -> Sequence[Wording]:
        """List wordings that are alive in the order of their keys, behind `after`."""
        return self._rows.scan(after, limit)

    def close(self) -> None:
        """Let go of all connections."""
        self._rows.close()

    def _keep(self, alive: Sequence[tuple[Wording, vectors.Halves]]) -> None:
        words: list[Any] = [self._sets, WHEN_ADDING]
        for wording, row in alive:
            single = vectors.units(row[None])[0].astype("<f4").tobytes()
            words += (single, *written(wording, row.astype("<f2").tobytes()))
        if alive:
            self._run(KEEP, [self._rows.name(it[0].key) for it in alive], words)

    def _drop(self, keys: Sequence[bytes]) -> int:
        if not keys:
            return 0
        names = [self._rows.name(key) for key in keys]
        return int(self._run(DROP, names, [self._sets]))

    def _run(self, script: Script, names: Sequence[bytes], words: Sequence[Any]) -> Any:
        try:
            return self._rows.run(script, (names, words))[0]
        except Refused as error:
            if "unknown" not in str(error).lower():
                raise
            raise Missing(
                f"{self._rows.address.shown} has neither vector sets nor a query engine: use "
                "Redis 8, Redis Stack, or another index"
            ) from error
