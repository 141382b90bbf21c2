"""Sessions with a PostgreSQL that any thread may use, by pg8000."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import pg8000.native
from pg8000.exceptions import DatabaseError, InterfaceError

from askonce.errors import StoreError
from askonce.postgres.address import Address
from askonce.stores import forks
from askonce.stores.breaker import Refused

T = TypeVar("T")

TIMEOUT_OF_SETUP = 10.0
"""Seconds to wait for tables to be made."""

MOST = 8
"""Sessions in use at once, and kept for the next callers."""
PATIENCE = 2.0
"""Seconds to wait for one of them."""

_NOT_THERE = ("42P01", "42704")
"""An undefined table and an undefined type; a message may be in any language.
https://www.postgresql.org/docs/current/errcodes-appendix.html"""


class Missing(Refused):
    """A table, or the type of one of its columns, is not there."""


class Sessions(forks.Locked):
    """Sessions with a server, each for one thread at a time. Nothing is opened before the first.

    Every failure is a StoreError, and comes within the address's time. Those who wait for a session
    while another one fails fail with it, and not one after another.
    """

    def __init__(self, address: Address, settings: dict[str, str]) -> None:
        super().__init__()
        self.address = address
        self._settings = settings
        self._idle: list[Any] = []
        self._ending = weakref.finalize(self, _close_all, self._idle)
        self._inherited: list[object] = []
        self._room = threading.Semaphore(MOST)
        self._lost = float("-inf")
        self._closed = False

    def do(self, work: Callable[[Any], T]) -> T:
        """Do some work in one transaction. A session that was cut off meanwhile is tried anew."""
        return self._done(partial(self._in_transaction, work=work))

    def ask(self, statement: str) -> list[list[Any]]:
        """Return the rows of one statement without parameters, in one round trip.

        It is a transaction by itself, and tried again as `do` does.
        """
        return self._done(partial(self.told, statement=statement))

    def _done(self, attempt: Callable[[Any], T]) -> T:
        self.check_open()
        room, began = self._room, time.monotonic()
        if not room.acquire(timeout=PATIENCE):
            raise StoreError(f"{self.address.shown}: all sessions have been busy for too long")
        try:
            return self._unless_lost(began, attempt)
        finally:
            room.release()

    def _unless_lost(self, began: float, attempt: Callable[[Any], T]) -> T:
        if self._lost > began:
            raise StoreError(f"{self.address.shown}: it has just failed another thread")
        try:
            return self._tried(attempt)
        except Refused:
            raise
        except StoreError:
            self._lost = time.monotonic()
            raise

    def _tried(self, attempt: Callable[[Any], T]) -> T:
        try:
            session = self._idle.pop()
        except IndexError:
            return self._attempt(self.open(self.address.timeout), attempt)
        try:
            return self._attempt(session, attempt)
        except Refused:
            raise
        except StoreError as error:
            if isinstance(error.__cause__, TimeoutError):
                raise
            return self._attempt(self.open(self.address.timeout), attempt)

    def set_up(self, work: Callable[[Any], T]) -> T:
        """Do some work that may take longer."""
        self.check_open()
        session = self.open(TIMEOUT_OF_SETUP)
        try:
            return self._in_transaction(session, work)
        finally:
            close(session)

    def check_open(self) -> None:
        """Raise StoreError if these sessions were closed."""
        if self._closed:
            raise StoreError(f"{self.address.shown} is closed here: open a new one")

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
            self._room = threading.Semaphore(MOST)
            self._ending = weakref.finalize(self, _close_all, self._idle)

    def _attempt(self, session: Any, attempt: Callable[[Any], T]) -> T:
        try:
            done = attempt(session)
        except Refused:
            self._give(session)
            raise
        except BaseException:
            close(session)
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
        if self._closed or len(self._idle) >= MOST:
            close(session)
        else:
            self._idle.append(session)

    def open(self, timeout: float) -> Any:
        """Return a session of the caller's own, whose failures are not StoreErrors."""
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

    def told(self, session: Any, statement: str) -> list[list[Any]]:
        """Return the rows of a statement, on a session of the caller's own."""
        try:
            return session.run(statement) or []
        except (DatabaseError, InterfaceError, OSError) as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StoreError:
        answered = isinstance(error, DatabaseError) and not isinstance(error, InterfaceError)
        said = error.args[0] if error.args else ""
        text = said.get("M", "") if isinstance(said, dict) else str(error)
        # Of class 57, such as a server that shuts down, the session is lost.
        lost = isinstance(said, dict) and str(said.get("C", "")).startswith(("57", "08"))
        missing = isinstance(said, dict) and said.get("C") in _NOT_THERE
        kind = StoreError if lost or not answered else Missing if missing else Refused
        return kind(f"{self.address.shown}: {text or type(error).__name__}")


def close(session: Any) -> None:
    """Close a session, whatever has become of it."""
    with contextlib.suppress(Exception):  # it is closed, or lost
        session.close()


def _close_all(sessions: list[Any]) -> None:
    while sessions:
        close(sessions.pop())


def _tls(address: Address) -> ssl.SSLContext | None:
    if address.tls == "disable":
        return None
    context = ssl.create_default_context(cafile=address.authority)
    if address.tls == "require":  # as libpq has it: encrypted, by whomever
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
