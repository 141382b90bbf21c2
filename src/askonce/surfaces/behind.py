"""Work behind an answer that was already given: the call that fetches the next one."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from askonce.model import Reason
from askonce.stores.forks import Locked
from askonce.tickets import Ticket

if TYPE_CHECKING:
    import asyncio

MOST = 32
"""Calls behind at one time. One more is left to the next caller who finds its answer stale."""


class Behind(Locked):
    """Makes the calls behind stale answers, from threads that keep no program from ending."""

    def __init__(self) -> None:
        super().__init__()
        self._busy = 0
        self._tasks: dict[asyncio.Task[object], Sequence[Ticket]] = {}

    def in_thread(self, tickets: Sequence[Ticket], work: Callable[[], object]) -> None:
        """Do some work that settles the tickets, with the caller's context, on a thread."""
        if not self._enter(tickets):
            return
        context = contextvars.copy_context()

        def refresh() -> None:
            for ticket in tickets:
                # Whoever asks for the same on this thread must not wait for itself.
                ticket.flight.thread = threading.get_ident()
            try:
                context.run(work)
            except BaseException as error:
                self._leave(tickets, error)
                if not isinstance(error, Exception):
                    raise
            else:
                self._leave(tickets)

        try:
            threading.Thread(target=refresh, name="askonce refresh", daemon=True).start()
        except RuntimeError as error:  # no more threads, or the interpreter ends
            self._leave(tickets, error)

    def in_task(
        self, tickets: Sequence[Ticket], work: Callable[[], Coroutine[Any, Any, object]]
    ) -> None:
        """Do the same in a task of the running loop."""
        import asyncio

        if not self._enter(tickets):
            return
        loop = asyncio.get_running_loop()
        for ticket in tickets:
            ticket.flight.is_dead = loop.is_closed

        def done(task: asyncio.Task[object]) -> None:
            if self._tasks.pop(task, None) is not None:
                self._leave(tickets, None if task.cancelled() else task.exception())

        task = loop.create_task(work())
        self._tasks[task] = tickets
        task.add_done_callback(done)

    def after_fork(self, *, child: bool) -> None:
        """Begin anew in the child, which has none of these threads and tasks."""
        super().after_fork(child=child)
        if child:
            self._busy, self._tasks = 0, {}

    def _enter(self, tickets: Sequence[Ticket]) -> bool:
        # A loop that was closed never ends its tasks.
        for task in [it for it in list(self._tasks) if it.get_loop().is_closed()]:
            if (left := self._tasks.pop(task, None)) is not None:
                self._leave(left)
        with self._lock:
            if self._busy < MOST:
                self._busy += 1
                return True
        for ticket in tickets:
            ticket.release(failed=False)
        return False

    def _leave(self, tickets: Sequence[Ticket], error: BaseException | None = None) -> None:
        with self._lock:
            self._busy -= 1
        for ticket in tickets:
            # Nothing, if it was settled.
            ticket.release(failed=True)
        journal, outcome = tickets[0].engine.journal, tickets[0].outcome
        if error is not None:
            outcome.reason = Reason("failed", f"the call behind raised {type(error).__name__}")
        journal.note(outcome)
        if outcome.reason is not None:
            warned = "the call behind a stale answer (key %s) brought none: %s"
            journal.warn("behind", warned, outcome.key, outcome.reason)
