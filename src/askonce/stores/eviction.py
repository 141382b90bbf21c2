"""Keeping a SQLite file near its limit: expired entries go, then the least recently used.

Nothing lists the expired. A hand goes round the file, some rows at each look, and drops those it
meets: it is once round before a quarter of a full file has been replaced.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any

BATCH = 64
"""Entries evicted in one step."""
SWEPT = 256
"""Entries that the hand passes in one step."""
AHEAD = 4
"""Bytes of entries that the hand passes for each byte that was written since the last look."""

MOST_PAGES = 512
"""Pages given back to the system in one call, about 2 MB; each may have to be moved first."""

_BEHIND = "SELECT id, length(value), expires FROM entries WHERE id > ? ORDER BY id LIMIT ?"
_UNUSED = "SELECT id, length(value) FROM entries ORDER BY id LIMIT ?"
_DELETE = "DELETE FROM entries WHERE id = ?"


def slack(limit: int) -> int:
    """Say how far below the limit eviction goes; half as much is written between two looks."""
    return min(limit // 64, 2**18)


def trim(
    connection: sqlite3.Connection, limit: int, written: int, now: float, hand: int = 0
) -> int:
    """Evict, in a transaction, while the file holds more than `limit` bytes; move the hand.

    `written` is how many were added since the last time. Some times that much is freed at most, so
    that a limit that was lowered is paid for in instalments, not by one unlucky caller.
    """
    page, pages, free = _sizes(connection)
    excess = (pages - free) * page - limit
    if excess <= 0:
        return hand
    goal = min(excess, 8 * written) + slack(limit)
    hand, freed = _sweep(connection, hand, AHEAD * written, now)
    _evict(connection, goal - freed)
    return hand


def _sweep(connection: sqlite3.Connection, hand: int, size: int, now: float) -> tuple[int, int]:
    """Drop what is over in the next `size` bytes of entries; return the hand and what was freed."""
    freed = 0
    while size > 0:
        rows = connection.execute(_BEHIND, (hand, SWEPT)).fetchall()
        freed += _delete(connection, [row for row in rows if _is_over(row[2], now)])
        if len(rows) < SWEPT:
            return 0, freed
        hand = rows[-1][0]
        size -= sum(row[1] or 0 for row in rows)
    return hand, freed


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


def _evict(connection: sqlite3.Connection, goal: int) -> None:
    while goal > 0:
        rows = connection.execute(_UNUSED, (BATCH,)).fetchall()
        if not rows:
            return
        for row in rows:
            goal -= _delete(connection, [row])
            if goal <= 0:
                return


def _delete(connection: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> int:
    """Delete rows and say how many bytes they held."""
    connection.executemany(_DELETE, [row[:1] for row in rows])
    return sum(row[1] or 0 for row in rows)


def _is_over(expires: object, now: float) -> bool:
    return isinstance(expires, float) and expires <= now


def _sizes(connection: sqlite3.Connection) -> tuple[int, int, int]:
    page, pages, free = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_size", "page_count", "freelist_count")
    )
    return page, pages, free
