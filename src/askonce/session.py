"""A cache at work in this process: its engine, opened at first use, and the options in force."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING

from askonce.blocking import is_running, run
from askonce.chains import around
from askonce.colours import TASKS, THREADS
from askonce.engine import Engine, of_all
from askonce.errors import ConfigError
from askonce.journal import Journal, Stats
from askonce.model import NOTHING, Outcome, Versions
from askonce.overlays import Overlay
from askonce.policy import Models, Options
from askonce.stores import forks, open_store
from askonce.stores.contract import Health, Store

if TYPE_CHECKING:
    from askonce.rewording import Rewording
    from askonce.sealing import Sealer, Secrets
    from askonce.semantic.search import Search
    from askonce.semantic.tiers import Semantic
    from askonce.stores.sealed import Sealed


CLOSING = 60.0
"""Seconds that closing waits for answers that are being judged."""


class Session(forks.Locked):
    """What the surfaces share. Making one opens nothing; a forked child opens its own."""

    def __init__(
        self,
        open_it: Callable[[], Store],
        *,
        closes: bool = True,
        options: Options,
        models: Models | None = None,
        clock: Callable[[], float] = time.time,
        strict: bool = False,
        sealer: Sealer | None = None,
        search: Callable[[], Search | None] = lambda: None,
    ) -> None:
        super().__init__()
        self.base = options
        self.journal = Journal()
        self._open_it = open_it
        self._closes = closes
        self._models = models
        self._clock = clock
        self._strict = strict
        self._sealer = sealer
        self._search = search
        self._overlay: ContextVar[Overlay | None] = ContextVar("askonce_overlay", default=None)
        self._pid = 0
        self._engine: Engine | None = None
        self._inherited: list[Engine] = []

    @property
    def engine(self) -> Engine:
        """The engine of this process."""
        engine = self._engine
        if engine is not None and self._pid == os.getpid():
            return engine
        return self._open()

    def _open(self) -> Engine:
        pid = os.getpid()
        # Opening enters the gate; a fork enters it first too, and then asks for our lock.
        with forks.gate(), self._lock:
            if self._engine is not None and self._pid != pid:
                # The parent's engine is kept unused: closing its files here would drop the locks
                # the parent holds on them.
                self._inherited.append(self._engine)
                self._engine = None
            if self._engine is None:
                store = self._open_it()
                engine = Engine(
                    store,
                    self.journal,
                    leases=getattr(store, "leases", None),
                    models=self._models,
                    clock=self._clock,
                    strict=self._strict,
                    sealed=None if self._sealer is None else _sealed(store, self._sealer),
                    rewording=self._rewording(),
                )
                # In this order: whoever sees an engine, without our lock, must see whose it is.
                self._pid = pid
                self._engine = engine
            return self._engine

    def _rewording(self) -> Callable[[Engine], Rewording] | None:
        semantic = self.base.semantic
        if semantic is None:
            return None
        from askonce.rewording import Rewording

        return lambda engine: Rewording(engine, semantic, self._search())

    def options(self, below: Options) -> Options:
        """Return the options in force here: `below`, changed by the `using` blocks around us."""
        overlay = self._overlay.get()
        return below if overlay is None else overlay.over(below)

    @contextmanager
    def using(self, overlay: Overlay) -> Iterator[None]:
        """Put an overlay in force for the calls of this context."""
        outer = self._overlay.get()
        if overlay.tags and (chains := around()):
            versions = self.versions(overlay.over(Options()))
            for chain in chains:
                chain.depend(versions)
        token = self._overlay.set(overlay if outer is None else outer.beneath(overlay))
        try:
            yield
        finally:
            # A coroutine that is collected is closed in another context, which is not changed.
            with suppress(ValueError):
                self._overlay.reset(token)

    def versions(self, options: Options) -> Versions:
        """Return the versions of the tags of a call that does not go through the engine.

        Nothing, and nothing is asked, where no chain needs them.
        """
        if not options.tags or not around():
            return NOTHING
        return of_all(options, run(self.engine.shelf.get((), options)).versions)

    def note(self, outcome: Outcome) -> None:
        """Take note of a call."""
        self.journal.note(outcome)
        for chain in around():
            chain.link(outcome)

    def stats(self) -> Stats:
        """Return the counts so far, and how the store does if it was opened. Opens nothing."""
        engine, counts = self._engine, self.journal.stats()
        health: Health | None = None if engine is None else getattr(engine.store, "health", None)
        if health is None:
            return counts
        return replace(counts, store=health.state, store_failures=health.failures)

    def close(self) -> None:
        """Close the store, if it was opened here. The next call opens it again."""
        run(self.aclose())

    async def aclose(self) -> None:
        """Do the same from a task, whose loop may have connections of its own."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is None or self._pid != os.getpid():
            return
        if (rewording := engine.rewording) is not None:
            from askonce.daemons import Daemons

            # What is being judged may take a while; a loop goes on meanwhile.
            with suppress(TimeoutError, RuntimeError):  # no thread starts where a program ends
                colour = THREADS if is_running() else TASKS
                await colour.within(CLOSING, rewording.close, Daemons())
        if self._closes:
            await engine.store.close()


def opener(
    url: str | None, *, memory: str | int, disk: str | int, strict: bool = False
) -> Callable[[], Store]:
    """Return what opens the store of a URL; a wrong URL is a ConfigError now, not later."""
    open_store(url, memory=memory, disk=disk, strict=strict)
    return lambda: open_store(url, memory=memory, disk=disk, strict=strict)


def sealer(secrets: Secrets | None) -> Sealer | None:
    """Return what seals entries under these secrets, or else under those of ASKONCE_SECRETS."""
    given = os.environ.get("ASKONCE_SECRETS") if secrets is None else secrets
    if given is None:
        return None
    from askonce.sealing import Sealer

    try:
        return Sealer(given)
    except ConfigError as error:
        if secrets is not None:
            raise
        # An empty variable is a mistake too: whoever sets it does not want answers in the clear.
        raise ConfigError(f"ASKONCE_SECRETS: {error}") from None


def searcher(
    semantic: Semantic | None, url: str | Store | None, *, sealed: bool
) -> Callable[[], Search | None]:
    """Return what opens the search for near questions; a wrong setting is a ConfigError now."""
    if semantic is None:
        return lambda: None
    from askonce import searching

    place = url if isinstance(url, str | None) else "memory://"
    searching.opener(semantic, place, sealed=sealed)
    return lambda: searching.opener(semantic, place, sealed=sealed)


def _sealed(store: Store, sealer: Sealer) -> Sealed:
    from askonce.stores.sealed import Sealed

    return Sealed(store, sealer)
