"""A damaged database: how it shows, and how it is set aside."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from pathlib import Path

_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# Our own SQL never fails so on a sound file. One that was cut to nothing has no tables, and in one
# whose header or schema lost a bit a name or a format is not known.
_MESSAGES = ("no such table", "no such column", "unsupported file format")

SIBLINGS = ("-wal", "-shm")
"""What SQLite keeps beside the file. They belong to one file, and are wrong beside any other."""


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether SQLite failed because the file is not what it should be."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in _CODES or str(error).startswith(_MESSAGES)


def set_aside(path: Path, error: sqlite3.Error) -> None:
    """Give a damaged database and its siblings another name, so that a new one can be begun."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    aside = Path(f"{path}.damaged-{stamp}-{os.getpid()}")
    path.rename(aside)
    for sibling in SIBLINGS:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{sibling}").rename(f"{aside}{sibling}")
    logging.getLogger("askonce").warning(
        "the cache file %s is damaged (%s); it is now %s, and a new one is begun",
        path,
        error,
        aside.name,
    )


def begin(path: Path) -> None:
    """Make an empty file that only its owner may read, if there is none."""
    if path.exists():
        return
    for sibling in SIBLINGS:
        # Left by a database that was deleted without them; SQLite would take them for this one's.
        Path(f"{path}{sibling}").unlink(missing_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
