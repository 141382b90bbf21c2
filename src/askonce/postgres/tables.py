"""Tables that are made where they are missing, and the statements on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from askonce.errors import StoreError
from askonce.postgres.sessions import Missing, Sessions
from askonce.stores.breaker import Refused

T = TypeVar("T")

# Two that make them at once would both fail.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('askonce'))"


class Tables:
    """Some tables and their sessions. `names` are put into `made`, statements that end in `;`.

    `needs` says what a server must have, for who is refused.
    """

    def __init__(
        self, sessions: Sessions, names: Mapping[str, str], *, made: str, needs: str
    ) -> None:
        self.sessions = sessions
        self._names = names
        self._made = made
        self._needs = needs

    def sql(self, text: str, **values: object) -> str:
        """Put the names of tables, and values as SQL has them, into a statement."""
        return text.format_map({**self._names, **values})

    def do(self, work: Callable[[Any], T]) -> T:
        """Do some work in a transaction, on tables that are there."""
        return self._on_tables(lambda: self.sessions.do(work))

    def ask(self, statement: str) -> list[list[Any]]:
        """Return the rows of one statement, in which the names are already."""
        return self._on_tables(lambda: self.sessions.ask(statement))

    def close(self) -> None:
        """Let go of all sessions."""
        self.sessions.close()

    def _on_tables(self, attempt: Callable[[], T]) -> T:
        try:
            return attempt()
        except Missing:
            # Nobody has used them yet, or somebody has dropped them. Not made at each start: that
            # takes locks on them, and a user who owns them.
            self._make()
        return attempt()

    def _make(self) -> None:
        def work(session: Any) -> None:
            session.run(_LOCK)
            for statement in self.sql(self._made).split(";\n"):
                if statement.strip():
                    session.run(statement)

        try:
            self.sessions.set_up(work)
        except Refused as error:
            raise StoreError(f"{error}; it needs {self._needs}") from error


def blob(value: bytes) -> str:
    """Write bytes as SQL has them."""
    return f"'\\x{value.hex()}'::bytea"
