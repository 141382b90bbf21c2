"""Entries in one SQLite file, shared by any number of threads and processes."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from askonce import units
from askonce.codec import decode, encode
from askonce.model import NOTHING, Entry
from askonce.stores import eviction, lockfile, tag_table
from askonce.stores.connections import Connections
from askonce.stores.contract import Found, Leases
from askonce.stores.leases import FileLeases, RowLeases

# With what it points at, if it is an alias: one transaction, not two, saves 3 us of 24.
_FIND = """SELECT it.value, it.id, target.value, target.id
    FROM entries AS it LEFT JOIN entries AS target ON target.key = it.target WHERE it.key = ?"""
_KEEP = "INSERT OR REPLACE INTO entries (expires, key, value, target) VALUES (?, ?, ?, ?)"
_AND_KEEP = ", (?, ?, ?, ?)"
# Two selects: one with both would go through all rows.
_MIDDLE = "SELECT ((SELECT min(id) FROM entries) + (SELECT max(id) FROM entries)) / 2"
_USED = "UPDATE entries SET id = (SELECT max(id) + 1 FROM entries) WHERE key = ?"
_DROP = "DELETE FROM entries WHERE key = ?"
_PAGE = "SELECT key, value FROM entries WHERE key > ? ORDER BY key LIMIT ?"
_GENERATION = "SELECT number FROM generation"
_NEXT_GENERATION = "UPDATE generation SET number = random()"

FEW = 2
"""Rows kept by one statement, without a transaction around it: an answer and its alias."""
BETWEEN_LOOKS = 60.0
"""Seconds after which it is asked again which rows are in the front half."""
MOST_USES = 1024
"""Uses remembered until a put writes them down."""
USES_PER_PUT = 4
"""Uses that one put writes down, some 27 us each. Eviction writes down all of them first."""


class SQLite:
    """A store in one file, which survives kill -9; a power cut may cost the latest entries.

    `limit` bounds the file. The log beside it takes up to 4 MB more, or an eighth of a small limit.
    `busy` is how many seconds a call waits for the writes of others. A damaged file is set aside
    and a new one begun, or with `heal=False` left alone: then every call is a StoreError. Nothing
    is opened or made before the first use. A file that was deleted or replaced is noticed within a
    second.
    """

    blocking = True

    def __init__(
        self,
        path: str | Path,
        limit: str | int = "1GB",
        busy: float = 0.25,
        clock: Callable[[], float] = time.time,
        *,
        heal: bool = True,
    ) -> None:
        self._limit = units.size(limit)
        self._clock = clock
        self._database = Connections(
            Path(path), limit=self._limit, busy=busy, heal=heal, clock=clock
        )
        self._written = 0
        # What is used in the front half moves to the end; the other half is far from eviction.
        self._uses: set[bytes] = set()
        self._middle = 0
        self._hand = 0
        self._looked = float("-inf")
        self.leases: Leases = (
            FileLeases(self._database.lock_path)
            if lockfile.AVAILABLE
            else RowLeases(self._database, clock)
        )

    async def get(self, keys: Sequence[bytes], tags: Collection[str] = ()) -> Found:
        """Look up entries that are alive, and the version of each tag, made now if it has none."""
        return self._database.do(lambda database: self._get(database, keys, tags))

    async def put(self, entries: Mapping[bytes, Entry]) -> None:
        """Keep entries, all or none, in place of what their keys held."""
        self._database.write(lambda database: self._put(database, entries))

    async def forget(self, keys: Sequence[bytes]) -> int:
        """Drop entries and say how many there were."""
        return self._database.write(lambda database: self._forget(database, keys))

    async def invalidate(self, tag: str, version: bytes | None = None) -> None:
        """Let everything that carries another version of this tag be dead from now on."""
        self._database.write(lambda database: tag_table.renew(database, tag, version))

    async def scan(self, after: bytes = b"", limit: int = 500) -> Sequence[tuple[bytes, Entry]]:
        """List entries that are alive in order of their keys, at most `limit` behind `after`."""
        return self._database.do(lambda database: _scan(database, after, limit))

    async def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    async def generation(self) -> int:
        """Return a number that changes when any process forgets entries or begins a new file."""
        row = self._database.do(lambda database: database.execute(_GENERATION).fetchone())
        return int(row[0]) if row else 0

    def _get(
        self, database: sqlite3.Connection, keys: Sequence[bytes], tags: Collection[str]
    ) -> Found:
        now = self._clock()
        if abs(now - self._looked) >= BETWEEN_LOOKS:
            self._looked = now
            self._middle = database.execute(_MIDDLE).fetchone()[0] or 0
        targets: dict[bytes, Entry] = {}
        entries = tuple([self._find(database, key, targets) for key in keys])
        for entry in entries:
            if entry is not None and entry.tags:
                entries = tag_table.alive(database, entries)
                break
        versions = tag_table.versions(database, tags) if tags else NOTHING
        return Found(entries, versions, targets)

    def _find(
        self, database: sqlite3.Connection, key: bytes, targets: dict[bytes, Entry]
    ) -> Entry | None:
        """Look up one entry; of an alias the target too, which goes to `targets`."""
        row = database.execute(_FIND, (key,)).fetchone()
        if row is None:
            return None
        value, place, target_value, target_place = row
        entry = self._read(key, value, place)
        if target_value is not None and entry is not None:
            target = self._read(entry.body, target_value, target_place)
            if target is not None and target.tags:
                (target,) = tag_table.alive(database, (target,))
            if target is not None:
                targets[entry.body] = target
        return entry

    def _read(self, key: bytes, value: object, place: int) -> Entry | None:
        if not isinstance(value, bytes):
            return None
        if place <= self._middle and len(self._uses) < MOST_USES:
            self._uses.add(key)
        return decode(key, value)

    def _put(self, database: sqlite3.Connection, entries: Mapping[bytes, Entry]) -> None:
        rows = [
            (entry.end, key, encode(key, entry), entry.body if entry.kind == "alias" else None)
            for key, entry in entries.items()
        ]
        size = sum([len(row[2]) for row in rows])
        if size > self._limit:
            self._forget(database, list(entries))
            return
        if 1 <= len(rows) <= FEW and not self._uses:
            database.execute(_KEEP + _AND_KEEP * (len(rows) - 1), sum(rows, ()))
        else:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(_KEEP, rows)
            database.executemany(_USED, self._take_uses(USES_PER_PUT))
            database.execute("COMMIT")
        self._written += size
        if self._written > eviction.slack(self._limit) // 2:
            self._make_room(database)

    def _make_room(self, database: sqlite3.Connection) -> None:
        try:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(_USED, self._take_uses(MOST_USES))
            self._hand = eviction.trim(
                database, self._limit, self._written, self._clock(), self._hand
            )
            database.execute("COMMIT")
            eviction.give_back(database, self._limit)
        except sqlite3.OperationalError:
            # Another process writes. The entry is kept; the next put tries again.
            if database.in_transaction:
                database.execute("ROLLBACK")
        else:
            self._written = 0

    def _take_uses(self, most: int) -> list[tuple[bytes]]:
        uses: list[tuple[bytes]] = []
        with contextlib.suppress(KeyError):  # another thread took the last one
            while self._uses and len(uses) < most:
                uses.append((self._uses.pop(),))
        return uses

    def _forget(self, database: sqlite3.Connection, keys: Sequence[bytes]) -> int:
        database.execute("BEGIN IMMEDIATE")
        dropped = database.executemany(_DROP, [(key,) for key in keys]).rowcount
        # Even if nothing was here: the near store of another process may hold one of them.
        database.execute(_NEXT_GENERATION)
        database.execute("COMMIT")
        eviction.give_back(database, self._limit)
        return max(dropped, 0)


def _scan(database: sqlite3.Connection, after: bytes, limit: int) -> list[tuple[bytes, Entry]]:
    found: list[tuple[bytes, Entry]] = []
    while len(found) < limit:
        rows = database.execute(_PAGE, (after, limit)).fetchall()
        entries = tag_table.alive(database, [_read(*row) for row in rows])
        found += [(row[0], it) for row, it in zip(rows, entries, strict=True) if it is not None]
        if len(rows) < limit:
            break
        after = rows[-1][0]
    return found[:limit]


def _read(key: object, value: object) -> Entry | None:
    return decode(key, value) if isinstance(key, bytes) and isinstance(value, bytes) else None
