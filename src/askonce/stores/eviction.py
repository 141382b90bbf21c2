"""Keeping a SQLite file near its limit: expired entries go, then the least recently used."""

from __future__ import annotations

import contextlib
import sqlite3

BATCH = 64
"""Entries looked at in one step."""

MOST_PAGES = 512
"""Pages given back to the system in one call, about 2 MB; each may have to be moved first."""

_EXPIRED = """SELECT id, length(value) FROM entries
    WHERE expires IS NOT NULL AND expires <= ? ORDER BY expires LIMIT ?"""
_UNUSED = "SELECT id, length(value) FROM entries ORDER BY id LIMIT ?"
_DELETE = "DELETE FROM entries WHERE id = ?"


def slack(limit: int) -> int:
    """Say how far below the limit eviction goes; half as much is written between two looks."""
    return min(limit // 64, 2**18)


def trim(connection: sqlite3.Connection, limit: int, written: int, now: float) -> None:
    """Evict, in a transaction, while the file holds more than `limit` bytes.

    `written` is how many were added since the last time. Some times that much is freed at most, so
    that a limit that was lowered is paid for in instalments, not by one unlucky caller.
    """
    page, pages, free = _sizes(connection)
    excess = (pages - free) * page - limit
    if excess > 0:
        _evict(connection, min(excess, 8 * written) + slack(limit), now)


def give_back(connection: sqlite3.Connection, limit: int) -> None:
    """Shrink a file over its limit, or with more than a quarter of free pages; in no transaction.

    A little at a time: each call that frees or evicts goes on where the last one stopped.
    """
    page, pages, free = _sizes(connection)
    spare = min(free, max(pages - limit // page, free - pages // 4))
    if spare > 0:
        with contextlib.suppress(sqlite3.OperationalError):  # somebody else writes: another time
            # Not `execute`: on Python 3.11 it gives back one page and stops.
            connection.executescript(f"PRAGMA incremental_vacuum({min(spare, MOST_PAGES)})")


def _evict(connection: sqlite3.Connection, goal: int, now: float) -> None:
    while goal > 0:
        rows = connection.execute(_EXPIRED, (now, BATCH)).fetchall()
        rows = rows or connection.execute(_UNUSED, (BATCH,)).fetchall()
        if not rows:
            return
        for row in rows:
            connection.execute(_DELETE, row[:1])
            goal -= row[1] or 0
            if goal <= 0:
                return


def _sizes(connection: sqlite3.Connection) -> tuple[int, int, int]:
    page, pages, free = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_size", "page_count", "freelist_count")
    )
    return page, pages, free
