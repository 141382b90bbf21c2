"""The way to a PostgreSQL: its URL, and sessions that any thread may use, by pg8000."""

from __future__ import annotations

import contextlib
import re
import ssl
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import pg8000.native
from pg8000.exceptions import DatabaseError, InterfaceError

from askonce import units
from askonce.errors import ConfigError, StoreError
from askonce.stores import forks
from askonce.stores.breaker import Refused

T = TypeVar("T")

SCHEMES = ("postgresql", "postgres")
SHAPE = "postgresql://user:password@host:5432/database"

TIMEOUT = 0.25
"""Seconds to wait for a connection, and for each answer: a call can go without."""
TIMEOUT_OF_SETUP = 10.0
"""Seconds to wait for tables to be made."""

IDLE = 8
"""Sessions kept for the next caller."""

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
    if parts.scheme not in SCHEMES:
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


class Sessions(forks.Locked):
    """Sessions with a server, each for one thread at a time. Nothing is opened before the first.

    Every failure is a StoreError, and comes within the address's time.
    """

    def __init__(self, address: Address, settings: dict[str, str]) -> None:
        super().__init__()
        self.address = address
        self._settings = settings
        self._idle: list[Any] = []
        self._ending = weakref.finalize(self, _close_all, self._idle)
        self._inherited: list[object] = []
        self._closed = False

    def do(self, work: Callable[[Any], T]) -> T:
        """Do some work in one transaction. A session that was cut off meanwhile is tried anew."""
        if self._closed:
            raise StoreError("this index is closed: open a new one")
        try:
            session = self._idle.pop()
        except IndexError:
            return self._attempt(self._open(self.address.timeout), work)
        try:
            return self._attempt(session, work)
        except Refused:
            raise
        except StoreError as error:
            if isinstance(error.__cause__, TimeoutError):
                raise
            return self._attempt(self._open(self.address.timeout), work)

    def set_up(self, work: Callable[[Any], T]) -> T:
        """Do some work that may take longer."""
        if self._closed:
            raise StoreError("this index is closed: open a new one")
        session = self._open(TIMEOUT_OF_SETUP)
        try:
            return self._in_transaction(session, work)
        finally:
            _close(session)

    def close(self) -> None:
        """Close what is idle now, and the rest when it comes back."""
        self._closed = True
        _close_all(self._idle)

    def after_fork(self, *, child: bool) -> None:
        """Go on; in the child, with sessions of its own: the parent's stay the parent's."""
        super().after_fork(child=child)
        if child:
            self._ending.detach()
            self._inherited.append(self._idle)
            self._idle = []
            self._ending = weakref.finalize(self, _close_all, self._idle)

    def _attempt(self, session: Any, work: Callable[[Any], T]) -> T:
        try:
            done = self._in_transaction(session, work)
        except Refused:
            self._give(session)
            raise
        except BaseException:
            _close(session)
            raise
        self._give(session)
        return done

    def _in_transaction(self, session: Any, work: Callable[[Any], T]) -> T:
        try:
            session.run("BEGIN")
            try:
                done = work(session)
            except DatabaseError as error:
                if not isinstance(error, InterfaceError):
                    session.run("ROLLBACK")
                raise
            session.run("COMMIT")
        except (DatabaseError, InterfaceError, OSError) as error:
            raise self._failed(error) from error
        return done

    def _give(self, session: Any) -> None:
        if self._closed or len(self._idle) >= IDLE:
            _close(session)
        else:
            self._idle.append(session)

    def _open(self, timeout: float) -> Any:
        address = self.address
        try:
            return pg8000.native.Connection(
                address.user,
                host=address.host,
                port=address.port,
                database=address.database,
                password=address.password,
                timeout=timeout,
                ssl_context=_tls(address),
                application_name="askonce",
                startup_params={
                    "options": " ".join(f"-c {it}={value}" for it, value in self._settings.items())
                },
            )
        except (DatabaseError, InterfaceError, OSError) as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StoreError:
        answered = isinstance(error, DatabaseError) and not isinstance(error, InterfaceError)
        said = error.args[0] if error.args else ""
        text = said.get("M", "") if isinstance(said, dict) else str(error)
        # Of class 57, such as a server that shuts down, the session is lost.
        lost = isinstance(said, dict) and str(said.get("C", "")).startswith(("57", "08"))
        kind = Refused if answered and not lost else StoreError
        return kind(f"{self.address.shown}: {text or type(error).__name__}")


def _close(session: Any) -> None:
    with contextlib.suppress(Exception):  # it is closed, or lost
        session.close()


def _close_all(sessions: list[Any]) -> None:
    while sessions:
        _close(sessions.pop())


def _tls(address: Address) -> ssl.SSLContext | None:
    if address.tls == "disable":
        return None
    context = ssl.create_default_context(cafile=address.authority)
    if address.tls == "require":  # as libpq has it: encrypted, by whomever
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


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
