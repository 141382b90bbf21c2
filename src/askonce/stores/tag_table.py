"""The versions of tags in a SQLite file.

A version is random and never comes back, or a content's and right whenever it does: what carries
the one that is current now is alive, and reads need no common transaction.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Sequence

from askonce.model import Entry, Versions

MOST_TAGS = 100_000
"""Tag names remembered. One more, and all are dropped: everything that carries a tag is dead."""

_CURRENT = "SELECT version FROM tags WHERE name = ?"
# Names are never deleted one by one, so the last id is their number: counting would read them all.
_NUMBER = "SELECT max(id) FROM tags"
_ADD = "INSERT OR IGNORE INTO tags (name, version) VALUES (?, ?)"
_RENEW = "UPDATE tags SET version = ? WHERE name = ?"
_SET = """INSERT INTO tags (name, version) VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET version = excluded.version"""
_DROP_ALL = "DELETE FROM tags"


def alive(
    database: sqlite3.Connection, entries: Sequence[Entry | None]
) -> tuple[Entry | None, ...]:
    """Put None in place of entries that carry a version which is not the current one."""
    names = {tag for entry in entries if entry is not None for tag in entry.tags}
    current = {name: _current(database, name) for name in names}
    return tuple(
        [
            entry
            if entry is None or all(current[tag] == seen for tag, seen in entry.tags.items())
            else None
            for entry in entries
        ]
    )


def versions(
    database: sqlite3.Connection, tags: Collection[str], most: int = MOST_TAGS
) -> Versions:
    """Read the version of each tag, made now if it has none."""
    found = {tag: _current(database, tag) for tag in tags}
    missing = [tag for tag, version in found.items() if version is None]
    if missing:
        database.execute("BEGIN IMMEDIATE")
        if (database.execute(_NUMBER).fetchone()[0] or 0) + len(missing) > most:
            database.execute(_DROP_ALL)
        database.executemany(_ADD, [(tag, os.urandom(16)) for tag in found])
        found = {tag: _current(database, tag) for tag in found}
        database.execute("COMMIT")
    made = {tag: version for tag, version in found.items() if version is not None}
    if len(made) < len(found):
        raise sqlite3.DatabaseError("the version of a tag is damaged")
    return made


def renew(database: sqlite3.Connection, tag: str, version: bytes | None = None) -> None:
    """Give a tag another version. A tag without one is dead as it is, unless one is given."""
    if version is None:
        database.execute(_RENEW, (os.urandom(16), tag))
    else:
        database.execute(_SET, (tag, version))


def _current(database: sqlite3.Connection, tag: str) -> bytes | None:
    row = database.execute(_CURRENT, (tag,)).fetchone()
    return row[0] if row is not None and isinstance(row[0], bytes) else None
