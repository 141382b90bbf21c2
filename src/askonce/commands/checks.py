"""Checks of one store: its folder, its file, its disk, and whether it keeps what it is given."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from askonce import __version__
from askonce.blocking import run
from askonce.commands.amounts import counted, size, span
from askonce.commands.opening import FilePlace, Place, opened
from askonce.errors import ConfigError, StoreError
from askonce.keys import LENGTH
from askonce.model import Entry
from askonce.stores import places, schema

SCARCE = 100 * 10**6
"""Bytes of free space below which a disk is about to be full."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, how it is, and what to do about it."""

    name: str
    state: Literal["ok", "warn", "broken"]
    says: str
    fix: str = ""


def versions() -> Check:
    """Say what runs here."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return Check(
        "versions", "ok", f"askonce {__version__}, {python}, SQLite {sqlite3.sqlite_version}"
    )


def sealing() -> Check:
    """Say whether entries are sealed, and whether the secrets are what they should be."""
    given = os.environ.get("ASKONCE_SECRETS")
    if given is None:
        return Check("sealing", "ok", "ASKONCE_SECRETS is not set: entries are kept as they are")
    from askonce.sealing import Sealer
    from askonce.sealing import read as read_secrets

    try:
        number = len(read_secrets(given)[""])
        Sealer(given)
    except ConfigError as error:
        says, _, fix = str(error).partition(": ")
        return Check("sealing", "broken", f"ASKONCE_SECRETS: {says}", fix)
    return Check("sealing", "ok", f"entries are sealed ({counted(number, 'secret')})")


def store(place: FilePlace) -> Iterator[Check]:
    """Check a store from the outside in; what is found broken ends it."""
    yield Check("store", "ok", f"{place.path} (from {place.said_by})")
    for check in (_file_system, _space, _folder, _file, _integrity, _set_aside, use):
        found = check(place)
        if found is None:
            continue
        yield found
        if found.state == "broken":
            return


def _home(place: FilePlace) -> Path:
    """Return the folder of the file, or of its parents the one that exists."""
    folder = place.path.absolute().parent
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def _file_system(place: FilePlace) -> Check:
    kind = places.file_system(place.path)
    if places.NETWORK.fullmatch(kind):
        return Check(
            "file system",
            "broken",
            f"{kind} is shared by several machines, and SQLite's log is not; "
            "programs keep answers in memory only",
            "name a local file: ASKONCE_URL=sqlite:////var/tmp/me/answers.db",
        )
    return Check("file system", "ok", f"{kind or 'of unknown kind'}, local")


def _space(place: FilePlace) -> Check:
    home = _home(place)
    free = shutil.disk_usage(home).free
    if free < SCARCE:
        return Check("free space", "warn", f"{size(free)} are left on {home}", "make room there")
    return Check("free space", "ok", size(free))


def _folder(place: FilePlace) -> Check:
    folder, home = place.path.absolute().parent, _home(place)
    if not home.is_dir():
        return Check("folder", "broken", f"{home} is a file", "name another folder with --url")
    if not os.access(home, os.W_OK | os.X_OK):
        return Check(
            "folder", "broken", f"{home} cannot be written", f"chmod u+wx {home}, or another --url"
        )
    if home != folder:
        return Check("folder", "ok", f"{folder} will be made at the first call")
    mode = stat.S_IMODE(folder.stat().st_mode)
    if place.said_by == "default" and mode & 0o077:
        return Check(
            "folder", "warn", f"others may look into {folder} ({mode:04o})", f"chmod 700 {folder}"
        )
    if mode & 0o022 and not mode & stat.S_ISVTX:
        return Check(
            "folder", "warn", f"others may write into {folder} ({mode:04o})", f"chmod go-w {folder}"
        )
    return Check("folder", "ok", f"{folder} ({mode:04o})")


def _file(place: FilePlace) -> Check | None:
    path = place.path
    if not path.exists():
        return Check("file", "ok", "not made yet: the first cached call makes it")
    mode = stat.S_IMODE(path.stat().st_mode)
    if not os.access(path, os.R_OK | os.W_OK):
        return Check(
            "file", "broken", f"it cannot be read and written ({mode:04o})", f"chmod 600 {path}"
        )
    if mode & 0o077:
        return Check("file", "warn", f"others may read it ({mode:04o})", f"chmod 600 {path}")
    return Check("file", "ok", f"{size(path.stat().st_size)} ({mode:04o})")


def _integrity(place: FilePlace) -> Check | None:
    """Look at the file without askonce, which would set a damaged one aside."""
    if not place.path.exists():
        return None
    try:
        # Without its lock file, a file that is no database is not a damaged one, but somebody's.
        if not Path(f"{place.path}-leases").exists():
            schema.check_header(place.path)
        with closing(
            sqlite3.connect(f"{place.path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)
        ) as database:
            return _quick_check(database, place.path)
    except places.Unsuitable:
        return _foreign(place.path)
    except sqlite3.OperationalError as error:
        return Check("integrity", "warn", f"cannot be looked at: {error}", "try again")
    except sqlite3.DatabaseError as error:
        return _damaged(str(error))


def _quick_check(database: sqlite3.Connection, path: Path) -> Check:
    def ask(name: str) -> str:
        return str(database.execute(f"PRAGMA {name}").fetchone()[0])

    application, version = int(ask("application_id")), int(ask("user_version"))
    if application != schema.APPLICATION:
        tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application == version == tables == 0:
            return Check("integrity", "ok", "empty: the first cached call makes its tables")
        return _foreign(path)
    if version > schema.VERSION:
        return Check(
            "integrity",
            "broken",
            f"the file has version {version}, and this askonce reads {schema.VERSION}",
            "pip install --upgrade askonce",
        )
    problem = ask("quick_check")
    if problem != "ok":
        return _damaged(problem.partition("\n")[0])
    journal = ask("journal_mode")
    if journal != "wal":
        return Check(
            "integrity",
            "warn",
            f"whole, but its journal is {journal!r}, so readers wait for writers",
            f'sqlite3 {path} "PRAGMA journal_mode = WAL"',
        )
    entries = database.execute("SELECT count(*) FROM entries").fetchone()[0]
    return Check(
        "integrity", "ok", f"whole, {counted(entries, 'row')}, version {version}, journal in WAL"
    )


def _foreign(path: Path) -> Check:
    return Check(
        "integrity", "broken", f"{path} belongs to another program", "name another file with --url"
    )


def _damaged(problem: str) -> Check:
    return Check(
        "integrity",
        "broken",
        f"the file is damaged: {problem}",
        "none is needed: the next call sets it aside and begins a new one",
    )


def _set_aside(place: FilePlace) -> Check | None:
    found = sorted(place.path.absolute().parent.glob(f"{place.path.name}.damaged-*"))
    if not found:
        return None
    return Check(
        "set aside",
        "warn",
        f"{counted(len(found), 'file')} of damaged databases, {size(_sum(found))}",
        f"rm {place.path}.damaged-*",
    )


def _sum(files: list[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def use(place: Place) -> Check | None:
    """Keep an entry, read it and drop it, as a program would."""
    if not place.is_made:
        return None
    key, entry = os.urandom(LENGTH), Entry(b"doctor", time.time(), time.time() + 60, "value")
    try:
        with opened(place) as found:
            began = time.perf_counter()
            run(found.put({key: entry}))
            put = time.perf_counter()
            read = run(found.get((key,))).entries[0]
            got = time.perf_counter()
            run(found.forget((key,)))
    except StoreError as error:
        return Check("use", "broken", str(error), "mend that, or name another store with --url")
    if read is None or read.body != entry.body:
        return Check("use", "broken", "an entry that was put was not found", "name another store")
    return Check(
        "use", "ok", f"an entry was put ({span(put - began)}) and read ({span(got - put)})"
    )
