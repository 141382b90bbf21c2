"""The SQLite file of an embedded index: its tables, and what marks it as ours."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from askonce.stores.places import Unsuitable

APPLICATION = int.from_bytes(b"aonw", "big")
VERSION = 1
"""Raised when the tables change. A file of an older version is set aside."""

# Ids are never used twice, so whoever knows the last one has seen all before it; without
# AUTOINCREMENT SQLite would use that of the newest row again once it is dropped.
TABLES = (
    """CREATE TABLE wordings (
        id INTEGER PRIMARY KEY AUTOINCREMENT, space INTEGER NOT NULL, key BLOB NOT NULL UNIQUE,
        scope BLOB NOT NULL, answer BLOB NOT NULL, text BLOB NOT NULL, expires REAL,
        barred INTEGER NOT NULL, vector BLOB NOT NULL, checksum INTEGER NOT NULL)""",
    "CREATE INDEX wordings_by_scope ON wordings (space, scope, id)",
    "CREATE INDEX wordings_by_end ON wordings (expires) WHERE expires IS NOT NULL",
    """CREATE TABLE spaces (
        id INTEGER PRIMARY KEY, embedder TEXT NOT NULL, dimension INTEGER NOT NULL,
        UNIQUE (embedder, dimension))""",
    "CREATE TABLE counts (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID",
    # Says to whom ids and saved graphs belong: another file begins again with 1.
    "CREATE TABLE file (identity BLOB NOT NULL)",
    "INSERT INTO file VALUES (randomblob(16))",
)

LOG_PAGES = 1000
"""Pages in the write-ahead log before it is copied into the file: SQLite's own default."""


def check_header(path: Path) -> None:
    """Raise Unsuitable for a file that another program wrote; without SQLite, which may change it.

    Only for a file that this process has not opened: to close it would free the process's locks.
    """
    with path.open("rb") as file:
        header = file.read(100)
    number = int.from_bytes(header[68:72], "big")
    if header and not (header[:16] == b"SQLite format 3\0" and number in (0, APPLICATION)):
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
    elif version < VERSION:
        # Begins as SQLite's own words do, so that the file is set aside like one it cannot read.
        raise sqlite3.DatabaseError(f"unsupported file format {version}: askonce has {VERSION} now")
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


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _foreign(path: Path) -> Unsuitable:
    return Unsuitable(f"{path} holds no wordings of askonce: choose another file")
