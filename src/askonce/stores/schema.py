"""The SQLite file: its tables, what marks it as ours, and how a connection to it is set up."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from askonce.stores.places import Unsuitable

APPLICATION = int.from_bytes(b"aonc", "big")
VERSION = 3
"""Raised when the tables change. A file of version 1 is set aside."""

# Rows lie in the order of their last use: a new one comes last, and eviction begins in front. In
# the order of their keys, with two rows of 2 KB to a page, nearly every put would split a page: a
# put of two took 46 us, not 30. Columns that eviction reads stand before the value, whose overflow
# pages then stay unread. `target` is the key that an alias points at. No index on `expires`: each
# put would write a page of it, 4 us of 28.
TABLES = (
    """CREATE TABLE entries (
        id INTEGER PRIMARY KEY, expires REAL, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL,
        target BLOB)""",
    "CREATE TABLE tags (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, version BLOB NOT NULL)",
    "CREATE TABLE leases (key BLOB PRIMARY KEY, owner BLOB NOT NULL, expires REAL NOT NULL)",
    "CREATE TABLE failures (slot INTEGER PRIMARY KEY, number INTEGER NOT NULL)",
    # Changes whenever entries are forgotten; random at first, so that a new file is seen as one.
    "CREATE TABLE generation (number INTEGER NOT NULL)",
    "INSERT INTO generation VALUES (random())",
)

LOG_PAGES = 1000
"""Pages in the write-ahead log before it is copied into the file: SQLite's own default."""


def check_header(path: Path) -> None:
    """Raise Unsuitable for a file that another program wrote; without SQLite, which may change it.

    Only for a file that this process has not opened: to close it would free the process's locks.
    """
    with path.open("rb") as file:
        header = file.read(100)
    ours = header[:16] == b"SQLite format 3\0" and _number(header[68:72]) in (0, APPLICATION)
    if header and not ours:
        raise _foreign(path)


def prepare(connection: sqlite3.Connection, path: Path, limit: int) -> None:
    """Check that the file is ours, give it its tables, and set the connection up."""
    # Text can only be damage: all that we read is numbers and blobs. As bytes it raises nothing.
    connection.text_factory = bytes
    application = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application == version == tables == 0:
        _create(connection)
    elif application != APPLICATION:
        raise _foreign(path)
    elif version > VERSION:
        raise Unsuitable(
            f"{path} was written by a newer askonce: upgrade askonce, or choose another file"
        )
    elif version == 2:
        _upgrade(connection)
    elif version < VERSION:
        # Begins as SQLite's own words do, so that the file is set aside like one it cannot read.
        raise sqlite3.DatabaseError(f"unsupported file format {version}: askonce has {VERSION} now")
    # No mmap_size: a mapped file that another program cuts short kills the process with SIGBUS,
    # and a get among 1 M entries took 15.0 us with it, 13.6 without. No cell_size_check: it reads
    # all of each page that is fetched (2.4 us of such a get), and the codec checks every entry.
    page = _pragma(connection, "page_size")
    log = max(16, min(LOG_PAGES, limit // 8 // page))
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {log}")
    connection.execute(f"PRAGMA journal_size_limit = {log * page}")


def _create(connection: sqlite3.Connection) -> None:
    # Must come before the first table, and cannot be changed later without VACUUM.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    for table in TABLES:
        connection.execute(table)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _upgrade(connection: sqlite3.Connection) -> None:
    """Make a file of version 2 one of ours; what its aliases point at is looked for apart."""
    connection.execute("BEGIN IMMEDIATE")
    if _pragma(connection, "user_version") == 2:  # else another process has done it meanwhile
        connection.execute("ALTER TABLE entries ADD COLUMN target BLOB")
        connection.execute("DROP INDEX IF EXISTS entries_by_end")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _number(field: bytes) -> int:
    return int.from_bytes(field, "big")


def _foreign(path: Path) -> Unsuitable:
    return Unsuitable(f"{path} is not a cache of askonce: choose another file")
