"""The SQLite file that keeps wordings and their vectors, shared by threads and processes.

A row's id says when it was written: whoever has seen all up to one asks for those behind it. A
wording that is added again gets a new row. Vectors of several embedders may be there, each in a
space of its own; those of another one than ours are never read, and dropped bit by bit.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from zlib import crc32

import msgspec

from askonce.indexes import layout
from askonce.indexes.choosing import Read, is_alive
from askonce.semantic.contract import Wording
from askonce.stores import damage, eviction
from askonce.stores.connections import Connections, _Connection, _identity

_pack = msgspec.msgpack.Encoder().encode

_SPACE = "SELECT id FROM spaces WHERE embedder = ? AND dimension = ?"
_NEW_SPACE = "INSERT OR IGNORE INTO spaces (embedder, dimension) VALUES (?, ?)"
_IDENTITY = "SELECT identity FROM file"
_COLUMNS = "key, scope, answer, text, expires, barred, vector, checksum"
_KEEP = f"INSERT OR REPLACE INTO wordings (space, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 (fixed text)
_NEWEST = """SELECT id, vector FROM wordings WHERE space = ? AND scope = ? AND id > ?
    ORDER BY id DESC LIMIT ?"""
_BEHIND = """SELECT id, vector FROM wordings WHERE space = ? AND scope = ? AND id > ?
    ORDER BY id LIMIT ?"""
_COUNT = "SELECT count(*) FROM wordings WHERE space = ? AND scope = ? AND id <= ?"
_FETCH = f"SELECT id, {_COLUMNS} FROM wordings WHERE space = ? AND scope = ? AND id IN "  # noqa: S608 (fixed text)
_PAGE = f"SELECT {_COLUMNS} FROM wordings WHERE key > ? AND space = ? ORDER BY key LIMIT ?"  # noqa: S608 (fixed text)
_DROP = "DELETE FROM wordings WHERE key = ?"
_EXPIRED = """DELETE FROM wordings WHERE id IN (
    SELECT id FROM wordings WHERE expires <= ? ORDER BY expires LIMIT ?)"""
_OLDEST = """DELETE FROM wordings WHERE id IN (
    SELECT id FROM wordings ORDER BY id LIMIT ?)"""
_OLDER_SPACES = """DELETE FROM wordings WHERE id IN (
    SELECT id FROM wordings WHERE space < ? LIMIT ?)"""
_NEWER_SPACES = """DELETE FROM wordings WHERE id IN (
    SELECT id FROM wordings WHERE space > ? LIMIT ?)"""
_RAISE = """INSERT INTO counts VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET number = number + excluded.number"""
_COUNTS = "SELECT name, number FROM counts"

SWEPT = 64
"""Rows beyond as many as are added that an add drops at most, of each kind that may go."""

Row = tuple[int, bytes]
"""Id and vector."""


class Opened(_Connection):
    """A connection that knows what it was opened on."""

    identity: bytes = b""
    space: int = 0


class Journal(Connections):
    """Runs work on the file, opened at first use, and turns its failures into StoreError."""

    def __init__(
        self,
        path: Path,
        *,
        embedder: str,
        dimension: int,
        limit: int,
        busy: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(path, limit=limit, busy=busy, clock=clock)
        self.path = path
        self.space = (embedder, dimension)
        self._foreign = True

    def _connect(self) -> Opened:
        damage.begin(self._path)
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=self._busy,
            isolation_level=None,
            check_same_thread=False,
            factory=Opened,
        )
        try:
            layout.prepare(connection, self._path, self._limit)
            self._enter_space(connection)
        except BaseException:
            connection.close()
            raise
        connection.file = self._file = _identity(self._path)
        self._all.add(connection)
        return connection

    def _check_foreign(self) -> None:
        known = self._locks is not None or self._lock_path.exists()
        if not known and self._path.exists():
            layout.check_header(self._path)

    def _enter_space(self, connection: Opened) -> None:
        row = connection.execute(_SPACE, self.space).fetchone()
        if row is None:
            connection.execute(_NEW_SPACE, self.space)
            row = connection.execute(_SPACE, self.space).fetchone()
        identity = connection.execute(_IDENTITY).fetchone()
        if row is None or identity is None:
            raise sqlite3.DatabaseError("no such table that has its row")  # taken for damage
        connection.space, connection.identity = row[0], identity[0]

    # Wordings

    def keep(self, database: Opened, wordings: Sequence[Wording], vectors: Sequence[bytes]) -> None:
        """Write wordings, all or none, and drop some of what may go."""
        rows = [
            (database.space, *_row(wording, vector))
            for wording, vector in zip(wordings, vectors, strict=True)
        ]
        database.execute("BEGIN IMMEDIATE")
        database.executemany(_KEEP, rows)
        self._sweep(database, len(rows) + SWEPT)
        database.execute("COMMIT")
        eviction.give_back(database, self._limit)

    def _sweep(self, database: Opened, most: int) -> None:
        database.execute(_EXPIRED, (self._clock(), most))
        if self._foreign:
            other = (database.space, most)
            dropped = database.execute(_OLDER_SPACES, other).rowcount
            dropped += database.execute(_NEWER_SPACES, other).rowcount
            self._foreign = dropped > 0
        if _is_above(database, self._limit):
            database.execute(_OLDEST, (most,))

    def drop(self, database: sqlite3.Connection, keys: Sequence[bytes]) -> int:
        """Drop wordings and say how many there were."""
        database.execute("BEGIN IMMEDIATE")
        dropped = database.executemany(_DROP, [(key,) for key in keys]).rowcount
        database.execute("COMMIT")
        eviction.give_back(database, self._limit)
        return max(dropped, 0)

    def newest(self, database: Opened, scope: bytes, last: int, most: int) -> list[Row]:
        """Return the newest rows behind an id, the oldest of them first."""
        rows = database.execute(_NEWEST, (database.space, scope, last, most)).fetchall()
        rows.reverse()
        return self._sound(rows)

    def behind(self, database: Opened, scope: bytes, last: int, most: int) -> list[Row]:
        """Return the first rows behind an id."""
        return self._sound(
            database.execute(_BEHIND, (database.space, scope, last, most)).fetchall()
        )

    def count(self, database: Opened, scope: bytes, last: int) -> int:
        """Say how many rows there are up to an id."""
        return int(database.execute(_COUNT, (database.space, scope, last)).fetchone()[0])

    def fetch(self, database: Opened, scope: bytes, ids: Sequence[int]) -> dict[int, Read]:
        """Read those of these rows that are there and alive."""
        marks = ", ".join("?" * len(ids))
        now = self._clock()
        rows = database.execute(f"{_FETCH}({marks})", (database.space, scope, *ids))
        read = ((row[0], _read(row[1:])) for row in rows)
        return {id_: it for id_, it in read if it is not None and is_alive(it.wording, now)}

    def page(self, database: Opened, after: bytes, limit: int) -> list[Wording]:
        """List wordings that are alive in the order of their keys."""
        found: list[Wording] = []
        now = self._clock()
        while len(found) < limit:
            rows = database.execute(_PAGE, (after, database.space, limit)).fetchall()
            read = [_read(row) for row in rows]
            found += [it.wording for it in read if it is not None and is_alive(it.wording, now)]
            if len(rows) < limit:
                break
            after = rows[-1][0]
        return found[:limit]

    def _sound(self, rows: list[Row]) -> list[Row]:
        size = 2 * self.space[1]
        return [row for row in rows if isinstance(row[1], bytes) and len(row[1]) == size]


class FileLedger:
    """Counts in the journal's file, shared by all processes that open it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def add(self, counts: Mapping[str, int]) -> None:
        """Add to counts, all or none."""
        rows = list(counts.items())

        def work(database: sqlite3.Connection) -> None:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(_RAISE, rows)
            database.execute("COMMIT")

        if rows:
            self._journal.write(work)

    def read(self) -> Mapping[str, int]:
        """Return all counts."""
        rows = self._journal.do(lambda database: database.execute(_COUNTS).fetchall())
        return {name.decode(errors="replace"): number for name, number in rows}


def _row(wording: Wording, vector: bytes) -> tuple[bytes | float | int | None, ...]:
    text = wording.text.encode("utf-8", "surrogatepass")
    fields = (wording.key, wording.scope, wording.answer, text)
    ends = (wording.expires, int(wording.barred), vector)
    return (*fields, *ends, crc32(_pack((*fields, *ends))))


def _read(row: Sequence[object]) -> Read | None:
    """Read a row; None if it is not what was written."""
    *fields, checksum = row
    try:
        if crc32(_pack(fields)) != checksum:
            return None
        key, scope, answer, text, expires, barred, vector = fields
        wording = Wording(
            key,  # type: ignore[arg-type]  # the checksum says that these are what was written
            scope,  # type: ignore[arg-type]
            answer,  # type: ignore[arg-type]
            text.decode("utf-8", "surrogatepass"),  # type: ignore[attr-defined]
            expires,  # type: ignore[arg-type]
            bool(barred),
        )
    except (AttributeError, OverflowError, TypeError, UnicodeError, ValueError):
        return None
    return Read(wording, vector)  # type: ignore[arg-type]


def _is_above(database: sqlite3.Connection, limit: int) -> bool:
    page, pages, free = (
        int(database.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_size", "page_count", "freelist_count")
    )
    return (pages - free) * page > limit
