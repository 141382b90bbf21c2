"""An index in a Redis with the query engine (RediSearch 2.10 or newer): vectors in hashes.

A hash that expires leaves the index by itself. In a cluster the open RediSearch has no coordinator,
so an index and its hashes share a hash tag, and so a node.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from askonce.indexes import redis_rows, vectors
from askonce.indexes.choosing import Read, search
from askonce.indexes.redis_rows import (
    AT_ONCE,
    DROPPED_AT_ONCE,
    FIELDS,
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

# KEYS: hashes. ARGV: for each when it ends in milliseconds, its tag, and its fields.
KEEP = Script("""
for i = 1, #KEYS do
  local at = 8 * (i - 1)
  redis.call('HSET', KEYS[i], 'tag', ARGV[at + 2], 'scope', ARGV[at + 3], 'answer', ARGV[at + 4],
    'text', ARGV[at + 5], 'expires', ARGV[at + 6], 'barred', ARGV[at + 7], 'vector', ARGV[at + 8])
  if ARGV[at + 1] == '' then
    redis.call('PERSIST', KEYS[i])
  else
    redis.call('PEXPIREAT', KEYS[i], ARGV[at + 1])
  end
end
""")

CONNECTIVITY, WHEN_ADDING, WHEN_SEARCHING = 16, 200, 200
"""Of the graph: neighbours of each vector, and how many are looked at."""

_UNKNOWN = ("no such index", "unknown index name")
_EXISTS = "index already exists"
_NO_COMMAND = "unknown command"


class RediSearch:
    """Wordings that all who know the server's address share. Nothing is opened before first use."""

    def __init__(
        self,
        url: str | Address,
        *,
        embedder: str,
        dimension: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rows = Rows(url, b"q", embedder=embedder, dimension=dimension, clock=clock)
        self._index = self._rows.place + b"index"
        self._is_made = False
        self.ledger = RedisLedger(self._rows)
        """Counts on the same server."""

    def add(self, wordings: Sequence[Wording], vectors_: NDArray[Any]) -> None:
        """Keep wordings with their vectors, in place of what their keys held."""
        rows = vectors.halves(vectors_, len(wordings), self._rows.dimension)
        if not self._is_made:
            self.prepare()
        halves = [row.astype("<f2").tobytes() for row in rows]
        calls = [
            (
                [self._rows.name(wording.key) for wording, _ in part],
                [word for it in part for word in written(*it)],
            )
            for part in in_parts(list(zip(wordings, halves, strict=True)), AT_ONCE)
        ]
        if calls:
            self._rows.run(KEEP, *calls)

    def nearest(self, scope: bytes, vector: NDArray[Any], count: int) -> Sequence[Neighbour]:
        """Return at most `count` wordings of this scope alone, the nearest first."""
        asked = vectors.question(vector, self._rows.dimension)
        blob = asked.astype("<f2").tobytes()
        tag = redis_rows.tag(scope)

        def find(wanted: int) -> list[Read | None]:
            return self._find(tag, blob, wanted)

        return search(find, asked, count, scope=scope, now=self._rows.clock())

    def discard(self, keys: Sequence[bytes]) -> int:
        """Drop wordings and say how many there were."""
        parts = in_parts([self._rows.name(key) for key in keys], DROPPED_AT_ONCE)
        return sum(self._rows.ask(*[("DEL", *part) for part in parts])) if parts else 0

    def scan(self, after: bytes = b"", limit: int = 500) -> Sequence[Wording]:
        """List wordings that are alive in the order of their keys, behind `after`."""
        return self._rows.scan(after, limit)

    def close(self) -> None:
        """Let go of all connections."""
        self._rows.close()

    def _find(self, tag: bytes, blob: bytes, wanted: int) -> list[Read | None]:
        effort = max(WHEN_SEARCHING, wanted)
        query = b"(@tag:{%b})=>[KNN %d @vector $asked EF_RUNTIME %d AS distance]"
        command = (
            *("FT.SEARCH", self._index, query % (tag, wanted, effort)),
            *("PARAMS", 2, "asked", blob, "SORTBY", "distance", "LIMIT", 0, wanted),
            *("RETURN", len(FIELDS), *FIELDS, "DIALECT", 2),
        )
        try:
            found = self._rows.ask(command)[0]
        except Refused as error:
            if not _says(error, *_UNKNOWN, _NO_COMMAND):
                raise
            self.prepare()
            found = self._rows.ask(command)[0]
        return [
            self._rows.read(name, [fields.get(it) for it in FIELDS])
            for name, fields in _results(found)
        ]

    def prepare(self) -> None:
        """Make the index on the server if it is not there. Missing if that has no query engine."""
        graph = (
            *("TYPE", "FLOAT16", "DIM", self._rows.dimension, "DISTANCE_METRIC", "COSINE"),
            *("M", CONNECTIVITY, "EF_CONSTRUCTION", WHEN_ADDING),
        )
        try:
            self._rows.ask(
                (
                    *("FT.CREATE", self._index, "ON", "HASH", "PREFIX", 1, self._rows.prefix),
                    *("SCHEMA", "tag", "TAG", "CASESENSITIVE"),
                    *("vector", "VECTOR", "HNSW", len(graph), *graph),
                )
            )
        except Refused as error:
            if _says(error, _NO_COMMAND):
                raise Missing(
                    f"{self._rows.address.shown} has no query engine: use Redis 8, Redis Stack, or "
                    "another index"
                ) from error
            if not _says(error, _EXISTS):
                raise
        self._is_made = True


def _says(error: Exception, *texts: str) -> bool:
    said = str(error).lower()
    return any(text in said for text in texts)


def _results(found: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Read what FT.SEARCH answers, which depends on the protocol that is spoken."""
    if isinstance(found, dict):
        return [(it[b"id"], it[b"extra_attributes"] or {}) for it in found[b"results"]]
    names, fields = found[1::2], found[2::2]
    return [
        (name, dict(zip(its[::2], its[1::2], strict=True)) if its else {})
        for name, its in zip(names, fields, strict=True)
    ]
