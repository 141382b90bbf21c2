"""The store that a command works on, and the entries in it."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from askonce import keys, settings
from askonce.blocking import run
from askonce.commands.terminal import Progress
from askonce.errors import ConfigError
from askonce.model import Entry
from askonce.stores import POSTGRES, address_of, open_store
from askonce.stores.contract import Store
from askonce.stores.sqlite import SQLite

UNBOUNDED = "1000000GB"
"""A command must evict nothing: how large the file may grow is the programs' affair."""

BUSY = 5.0
"""Seconds to wait for the writes of others, or for a server; nobody's call waits for a command."""

_PREFIX = re.compile(r"[0-9a-f]{1,40}")


class NothingFoundError(Exception):
    """There is nothing to show or to do. The message says where it was looked for."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a store is, and who says so."""

    url: str
    said_by: str
    shown: str
    """Its path, or its URL without credentials."""

    @property
    def is_made(self) -> bool:
        """Whether there is something to look at."""
        return True


@dataclass(frozen=True, slots=True)
class FilePlace(Place):
    """The file that holds a store."""

    path: Path

    @property
    def is_made(self) -> bool:
        """False until the first cached call has made it; an empty file is no store yet."""
        return self.path.stat().st_size > 0 if self.path.is_file() else self.path.exists()


def add_url(parser: argparse.ArgumentParser) -> None:
    """Let a command be told its store."""
    parser.add_argument(
        "--url",
        help="the store, such as sqlite:///answers.db (default: ASKONCE_URL, or else the url of "
        "askonce.toml, or else the file in your cache folder)",
    )


def place(url: str | None) -> Place:
    """Find where a store is, as said here or by the settings.

    Raises ConfigError for a wrong URL, and for one that ends with us.
    """
    said_by = "--url"
    if url is None:
        # Secrets are for programs: a command neither seals nor opens.
        environ = {name: it for name, it in os.environ.items() if name != "ASKONCE_SECRETS"}
        said = settings.read(environ=environ)
        url, said_by = said.url, said.where("url")
    open_store(url)  # opens nothing yet, but knows a wrong URL
    if not url:
        import platformdirs

        path = platformdirs.user_cache_path("askonce") / "answers.db"
        return FilePlace(f"sqlite:///{path}", "default", str(path), path)
    server = address_of(url)
    if server is not None:
        return Place(url, said_by, server.shown)
    if url.startswith("memory:"):
        raise ConfigError(
            "memory:// lives and ends with its program, so no command can see it; "
            "use --url sqlite:///answers.db"
        )
    path = Path(url.removeprefix("sqlite:///"))
    return FilePlace(url, said_by, str(path), path)


@contextmanager
def opened(found: Place, *, begin: bool = False) -> Iterator[Store]:
    """Open a store. Unless `begin`, NothingFoundError where there is none yet.

    Only who begins a store may set a damaged one aside: else its export would be empty, and be
    written over the last whole one.
    """
    if not begin and not found.is_made:
        raise NothingFoundError(
            f"there is no cache at {found.shown} yet: the first cached call makes it, "
            "and --url names another one"
        )
    store = _store(found, heal=begin)
    try:
        yield store
    finally:
        run(store.close())


def _store(found: Place, *, heal: bool) -> Store:
    if isinstance(found, FilePlace):
        return SQLite(found.path, limit=UNBOUNDED, busy=BUSY, heal=heal)
    if found.url.partition("://")[0] in POSTGRES:
        from askonce.postgres import address as of_postgres
        from askonce.postgres.store import PostgreSQL

        place_ = of_postgres.read(found.url)
        return PostgreSQL(replace(place_, timeout=max(BUSY, place_.timeout)))
    from askonce.redis import address
    from askonce.redis.store import Redis

    said = address.read(found.url)
    patient = {name: max(BUSY, getattr(said, name)) for name in ("timeout", "connect_timeout")}
    return Redis(replace(said, **patient))


def entries(store: Store, what: str) -> Iterator[tuple[bytes, Entry]]:
    """Go through all entries and aliases, in order of their keys, with a bar that says how far.

    Keys are digests, spread evenly, so their first bytes say which part is done.
    """
    after, seen = b"", 0
    with Progress(what) as progress:
        while page := run(store.scan(after)):
            yield from page
            after, seen = page[-1][0], seen + len(page)
            progress.at(int.from_bytes(after[:4], "big") / 2**32, f"{seen:,} entries")


def starting_with(store: Store, prefix: str, most: int = 5) -> list[tuple[bytes, Entry]]:
    """List the first answers whose keys begin with these hexadecimal digits."""
    digits = prefix.strip().lower()
    if not _PREFIX.fullmatch(digits):
        raise ConfigError(f"{prefix!r} is not a key: use hexadecimal digits, as `askonce ls` shows")
    first = int(digits.ljust(2 * keys.LENGTH, "0"), 16)
    after = (first - 1).to_bytes(keys.LENGTH, "big") if first else b""
    found: list[tuple[bytes, Entry]] = []
    while page := run(store.scan(after, 50)):
        for key, entry in page:
            if not key.hex().startswith(digits):
                return found
            if entry.kind != "alias":
                found.append((key, entry))
                if len(found) == most:
                    return found
        after = page[-1][0]
    return found


def the_one(store: Store, prefix: str) -> tuple[bytes, Entry]:
    """Return the only answer whose key begins so.

    Raises NothingFoundError if there is none, ConfigError if there are several.
    """
    found = starting_with(store, prefix)
    if not found:
        raise NothingFoundError(
            f"no entry has a key that begins with {prefix}: `askonce ls` lists them"
        )
    if len(found) > 1:
        some = ", ".join(key.hex()[: max(12, len(prefix) + 2)] for key, _ in found)
        raise ConfigError(f"several keys begin with {prefix} ({some}): give more digits")
    return found[0]
