"""Where a PostgreSQL is: what its URL says. Needs no driver."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from askonce import units
from askonce.errors import ConfigError
from askonce.stores import POSTGRES

SHAPE = "postgresql://user:password@host:5432/database"

TIMEOUT = 0.25
"""Seconds to wait for a connection, and for each answer: a call can go without."""

_OPTIONS = ("timeout", "namespace", "sslmode", "sslrootcert")
_SSL_MODES = ("disable", "require", "verify-full")
_NAMESPACE = re.compile(r"[a-z_][a-z0-9_]{0,30}")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a PostgreSQL is. `timeout` is in seconds; tables begin with the namespace."""

    shown: str
    """The URL without its credentials, for messages."""
    host: str
    port: int
    user: str
    password: str | None
    database: str
    timeout: float = TIMEOUT
    namespace: str = "askonce"
    tls: str = "disable"
    authority: str | None = None
    """File of the certificates that vouch for the server's."""


def read(url: str) -> Address:
    """Read a URL. Raises ConfigError that says what is wrong, and never a password."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2]
    shown = f"{parts.scheme}://{where}{parts.path}"
    if parts.scheme not in POSTGRES:
        raise ConfigError(f"{shown!r} is not the URL of a PostgreSQL: use {SHAPE}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in options:
        if name not in _OPTIONS:
            raise ConfigError(f"{name!r} is no option of this URL: use {', '.join(_OPTIONS)}")
    try:
        port = parts.port or 5432
    except ValueError as error:
        raise ConfigError(f"{shown!r}: {error}") from None
    user = unquote(parts.username or "postgres")
    return Address(
        shown,
        parts.hostname or "localhost",
        port,
        user,
        unquote(parts.password) if parts.password else None,
        unquote(parts.path.strip("/")) or user,
        _seconds(options.get("timeout")),
        _one_of(options, "namespace", "askonce", _NAMESPACE.fullmatch, "letters, digits and _"),
        _one_of(options, "sslmode", "disable", _SSL_MODES.__contains__, ", ".join(_SSL_MODES)),
        options.get("sslrootcert"),
    )


def _seconds(text: str | None) -> float:
    if text is None:
        return TIMEOUT
    try:
        return units.seconds(text if text[-1:].isalpha() else float(text)) or TIMEOUT
    except ValueError:
        raise ConfigError(f"timeout={text!r} must be a span of time: use 250ms or 0.25") from None


def _one_of(
    options: dict[str, str], name: str, usual: str, fits: Callable[[str], object], hint: str
) -> str:
    said = options.get(name, usual)
    if not fits(said):
        raise ConfigError(f"{name}={said!r} must be one of: {hint}")
    return said
