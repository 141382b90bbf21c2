"""Where entries are kept, and how a URL opens it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from askonce.errors import ConfigError
from askonce.stores.memory import Memory

if TYPE_CHECKING:
    from askonce.postgres.address import Address as PostgresAddress
    from askonce.redis.address import Address as RedisAddress
    from askonce.stores.contract import Store

__all__ = ["Memory", "open_store"]

REDIS = (
    "redis", "rediss", "valkey", "valkeys", "unix",
    "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel",
)  # fmt: skip
POSTGRES = ("postgresql", "postgres")
SERVERS = (*REDIS, *POSTGRES)
SCHEMES = ("memory", "sqlite", *SERVERS)

_SHAPES = (
    "memory://, sqlite:///answers.db (beside the program), sqlite:////var/cache/answers.db, "
    "redis://host:6379 or postgresql://user@host/database"
)


def open_store(
    url: str | None,
    *,
    memory: str | int = "64MB",
    disk: str | int = "1GB",
    strict: bool = False,
) -> Store:
    """Open the store of a URL; nothing on disk is touched before its first use.

    `memory://` is memory alone; `sqlite:///relative.db` and `sqlite:////absolute.db` are memory
    over a file; `redis://host` and its kin (`valkey`, `rediss`, `unix`, `redis+cluster`,
    `redis+sentinel`) are memory over Redis or Valkey, `postgresql://user@host/database` over
    PostgreSQL; an empty URL is memory over a file in the user's cache folder. `memory` and `disk`
    bound the tiers of this machine in bytes. Where a file can never work, memory serves alone after
    one warning. With `strict` every failure of what is under the memory is a StoreError.
    """
    if not url:
        return _over_file(_default_path(), memory, disk, strict=strict)
    scheme, mark, rest = url.partition("://")
    if not mark or scheme not in SCHEMES:
        import difflib

        near = difflib.get_close_matches(scheme.lower(), SCHEMES, n=1)
        hint = f": did you mean {near[0]!r}?" if near else "."
        plain = re.sub(r"//[^/]*@", "//", url)  # a password may stand there
        raise ConfigError(f"{plain!r} is not the URL of a store{hint} Use {_SHAPES}")
    if scheme in SERVERS:
        return _over_server(url, memory, strict=strict)
    if scheme == "memory":
        if rest:
            raise ConfigError(f"{url!r}: memory has no path, so write 'memory://'")
        return Memory(memory)
    if not rest.startswith("/") or rest == "/":
        raise ConfigError(f"{url!r} names no file: use {_SHAPES}")
    return _over_file(Path(rest[1:]), memory, disk, strict=strict)


def file_of(url: str | None) -> Path | None:
    """Return the file in which a store keeps its entries; None for one that is no file."""
    if not url:
        return _default_path()
    scheme, _, rest = url.partition("://")
    return Path(rest[1:]) if scheme == "sqlite" else None


def address_of(url: str) -> RedisAddress | PostgresAddress | None:
    """Read the URL of a server; None for one that names no server. No driver is needed.

    Raises ConfigError that says what is wrong with it.
    """
    scheme = url.partition("://")[0]
    if scheme in REDIS:
        from askonce.redis import address as of_redis

        return of_redis.read(url)
    if scheme in POSTGRES:
        from askonce.postgres import address as of_postgres

        return of_postgres.read(url)
    return None


def _over_file(path: Path, memory: str | int, disk: str | int, *, strict: bool) -> Store:
    # sqlite3 and what belongs to it are not imported for a cache in memory.
    from askonce.stores.sqlite import SQLite
    from askonce.stores.tiered import Tiered

    return Tiered(Memory(memory), SQLite(path, limit=disk), strict=strict)


def _over_server(url: str, memory: str | int, *, strict: bool) -> Store:
    scheme = url.partition("://")[0]
    far: Store
    try:
        if scheme in REDIS:
            driver, extra = "redis-py", "redis"
            from askonce.redis.store import Redis

            far = Redis(url)
        else:
            driver, extra = "pg8000", "postgres"
            from askonce.postgres.store import PostgreSQL

            far = PostgreSQL(url)
    except ImportError as missing:
        raise ConfigError(
            f'{scheme}:// needs {driver}: pip install "askonce[{extra}]"'
        ) from missing
    from askonce.stores.tiered import Tiered

    return Tiered(Memory(memory), far, strict=strict)


def _default_path() -> Path:
    import platformdirs

    try:
        folder = platformdirs.user_cache_path("askonce")
    except RuntimeError:  # this user has no home; the store will say so
        folder = Path("~/.cache/askonce")
    return folder / "answers.db"
