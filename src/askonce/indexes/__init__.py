"""Where wordings are kept with their vectors, and found again by them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from askonce.errors import ConfigError
from askonce.stores import POSTGRES, REDIS

if TYPE_CHECKING:
    from askonce.semantic.contract import Index, Ledger

    class Place(Index, Protocol):
        """An index with counts beside it."""

        @property
        def ledger(self) -> Ledger:
            """Counts kept in the same place."""


SCHEMES = (*REDIS, *POSTGRES, "sqlite", "memory")
SHAPES = (
    "memory://, sqlite:///answers.db (wordings lie beside it), redis://host:6379 or "
    "postgresql://user@host/database"
)


def open_index(url: str, *, embedder: str, dimension: int) -> Place:
    """Open the index of a URL for the vectors of an embedder. Connects to nothing before its use.

    `memory://` lasts as long as the process; `sqlite:///answers.db` is the file
    `answers.db.wordings`; `redis://host` and its kin use the query engine where the server has it,
    or else vector sets; `postgresql://` needs pgvector. ConfigError for what is none of these, or
    whose packages are not installed.
    """
    scheme, mark, rest = url.partition("://")
    try:
        if mark and scheme in REDIS:
            from askonce.indexes.redis_either import RedisIndex

            return RedisIndex(url, embedder=embedder, dimension=dimension)
        if mark and scheme in POSTGRES:
            from askonce.indexes.pgvector import PgVector

            return PgVector(url, embedder=embedder, dimension=dimension)
        if scheme == "sqlite" and rest.startswith("/") and rest != "/":
            from askonce.indexes.embedded import Embedded

            path = f"{rest[1:]}.wordings"
            return Embedded(path, embedder=embedder, dimension=dimension)
        if mark and scheme == "memory" and not rest:
            from askonce.indexes.memory import Memory

            return Memory(dimension)
    except ImportError as missing:
        extra = "postgres" if scheme in POSTGRES else "redis"
        extra = "semantic" if scheme in ("memory", "sqlite") else f"semantic,{extra}"
        raise ConfigError(
            f'an index at {scheme}:// needs {missing.name}: pip install "askonce[{extra}]"'
        ) from missing
    raise _no_index(url)


def check(url: str) -> None:
    """Raise ConfigError for what is clearly not the URL of an index. Imports and opens nothing."""
    scheme, mark, _ = url.partition("://")
    if not mark or scheme not in SCHEMES:
        raise _no_index(url)


def _no_index(url: str) -> ConfigError:
    return ConfigError(f"{_plain(url)!r} is not the URL of an index: use {SHAPES}")


def _plain(url: str) -> str:
    """Leave out a password."""
    scheme, mark, rest = url.partition("://")
    where, slash, path = rest.partition("/")
    return f"{scheme}{mark}{where.rpartition('@')[2]}{slash}{path.partition('?')[0]}"
