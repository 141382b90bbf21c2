"""Tickets: the leave to call upstream, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from askonce import replay
from askonce.chains import Chain
from askonce.colours import Colour
from askonce.flights import Flight, State
from askonce.model import Outcome, Reason, Response, Versions
from askonce.plans import Plan
from askonce.streams import Reader
from askonce.tape import Source, Tape

if TYPE_CHECKING:
    from askonce.engine import Engine
    from askonce.rewording import Wanted

LOST = Reason("incomplete", "the connection was lost before the stream came to its end")
LEFT = Reason("incomplete", "the stream was left before it came to its end")


@dataclass(slots=True)
class Ticket:
    """The leave to call upstream, from one engine. One that is dropped releases its flight."""

    engine: Engine
    plan: Plan
    outcome: Outcome
    versions: Versions
    flight: Flight
    wanted: Wanted | None = None
    """What is asked, where other wordings of it may find the answer."""
    chain: Chain | None = None
    """What its answer depends on by way of other calls."""
    is_valid: Callable[[], bool] | None = None
    """Asked before the answer is kept."""
    open: bool = True

    async def settle(
        self, response: Response, colour: Colour, *, alias: bytes | None = None
    ) -> None:
        """Keep the answer if it is worth keeping, and let those who wait for it go on."""
        await self.engine.settle(self, response, colour, alias=alias)

    def release(self, *, failed: bool) -> None:
        """Give the ticket back unused. A failed call lets all who wait go upstream at once."""
        self.close(State.FAILED if failed else State.FREED)

    def record(
        self, source: Source, head: Response, colour: Colour, *, alias: bytes | None = None
    ) -> Reader:
        """Record a stream while its caller, and others, read it. It is settled when it is whole."""

        async def settle(body: bytes) -> None:
            response = Response(head.status, head.headers, body, streamed=True)
            await self.settle(response, colour, alias=alias)

        def abandon(failed: bool) -> None:
            self.outcome.reason = LOST if failed else LEFT
            self.release(failed=failed)

        dialect, labels = self.plan.dialect, self.plan.facts.labels
        tape = Tape(
            source,
            terminal=lambda piece: replay.is_terminal(dialect, piece),
            settle=settle,
            abandon=abandon,
            # Those who read along, here and elsewhere, have labels of their own.
            kept=lambda piece: replay.unlabelled_piece(dialect, piece, labels),
        )
        tape.attach()
        self.flight.chain = self.chain
        self.engine.flights.begin_stream(self.flight, tape, head)
        return Reader(tape, colour)

    def close(self, state: State) -> None:
        """End this ticket, once, and its flight."""
        if self.open:
            self.open = False
            self.engine.flights.end(self.flight, state)

    def __del__(self) -> None:
        self.release(failed=False)
