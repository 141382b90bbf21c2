"""One SDK call over all its attempts: what the client's hook and the transport under it share."""

from __future__ import annotations

from collections.abc import Collection
from contextvars import ContextVar

from askonce.errors import NotCached
from askonce.model import Outcome
from askonce.plans import Plan
from askonce.policy import Options
from askonce.session import Session
from askonce.tickets import Ticket


class Journey:
    """Carries a call's ticket across the SDK's retries, and learns the call's key on the way."""

    def __init__(
        self,
        session: Session,
        options: Options,
        alias: bytes | None = None,
        transports: Collection[object] = (),
    ) -> None:
        self.session = session
        self.transports = transports
        """The client's own. What is called inside by way of others is another call."""
        self.options = options
        self.alias = alias
        self.tickets: dict[bytes, Ticket] = {}
        self.outcome: Outcome | None = None
        self.slots: dict[bytes, int] = {}
        """The sample slot of each request, for all of its attempts."""
        self.refusal: NotCached | None = None
        """Why the call must not be made; raised in place of what the SDK makes of it."""
        self._key: bytes | None = None

    def plans(self, plan: Plan) -> None:
        """See one request of this call. Only a call of one single key may have an alias."""
        if self._key is not None and self._key != plan.key:
            self.alias = None
        self._key = plan.key

    def hold(self, ticket: Ticket) -> None:
        """Keep a ticket for the next attempt, until it is settled."""
        self.tickets[ticket.plan.key] = ticket

    def held(self, plan: Plan) -> Ticket | None:
        """Return the ticket that an earlier attempt of the same request left."""
        return self.tickets.get(plan.key)

    def let_go(self, ticket: Ticket) -> None:
        """Leave a ticket to whoever settles it."""
        self.tickets.pop(ticket.plan.key, None)

    def finish(self, *, failed: bool) -> None:
        """End the call: tickets that are still held are given back."""
        while self.tickets:
            _, ticket = self.tickets.popitem()
            ticket.release(failed=failed)
        if self.outcome is not None:
            self.session.note(self.outcome)


current: ContextVar[Journey | None] = ContextVar("askonce_journey", default=None)
"""The journey of the SDK call being made in this context."""
