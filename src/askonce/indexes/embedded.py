"""An index in files of this machine, shared by any number of threads and processes.

The journal, a SQLite file, is the truth: a wording that was added is in it, and outlives kill -9.
What is held in memory of a scope is read from it when the scope is first asked for, and every
search asks it first for the rows behind the last one known, and last for what it found. So what one
process adds or drops, the others see at once.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from numpy.typing import NDArray

from askonce import units
from askonce.errors import StoreError
from askonce.indexes import vectors
from askonce.indexes.choosing import MOST, SPARE, Read, ranked
from askonce.indexes.growth import FIRST, MORE, Growth
from askonce.indexes.journal import FileLedger, Journal, Opened
from askonce.indexes.scopes import WINDOW, Scope
from askonce.semantic.contract import Neighbour, Wording
from askonce.stores import forks

HELD = 2**28
"""Bytes of matrices held at most; those of the scopes not asked for longest are read again."""

PATIENCE = 1.0
"""Seconds to wait for another thread that reads in a large scope."""


class Embedded(forks.Locked):
    """Wordings in a file of their own, with graphs of large scopes beside it.

    `embedder` and `dimension` name what makes the vectors; those of another one are not seen, and
    dropped as new ones come. `limit` bounds the file; beyond, the oldest wordings are dropped. The
    graphs take about as much again. `busy` is how many seconds a call waits for the writes of
    others. Nothing is opened or made before the first use. A damaged file is set aside and a new
    one begun.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        embedder: str,
        dimension: int,
        limit: str | int = "1GB",
        busy: float = 0.25,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._dimension = dimension
        self._journal = Journal(
            Path(path),
            embedder=embedder,
            dimension=dimension,
            limit=units.size(limit),
            busy=busy,
            clock=clock,
        )
        self.ledger = FileLedger(self._journal)
        """Counts in the same file."""
        self._identity = b""
        self._scopes: OrderedDict[bytes, Scope] = OrderedDict()
        self._inherited: list[object] = []
        self._begin_growth()

    def add(self, wordings: Sequence[Wording], vectors_: NDArray[Any]) -> None:
        """Keep wordings with their vectors, in place of what their keys held."""
        rows = vectors.halves(vectors_, len(wordings), self._dimension).astype("<f2", copy=False)
        if len(wordings):
            blobs = [row.tobytes() for row in rows]
            self._journal.write(lambda it: self._journal.keep(cast("Opened", it), wordings, blobs))

    def nearest(self, scope: bytes, vector: NDArray[Any], count: int) -> Sequence[Neighbour]:
        """Return at most `count` wordings of this scope alone, the nearest first."""
        asked = vectors.question(vector, self._dimension)
        read = self._journal.do(lambda it: self._search(cast("Opened", it), scope, asked, count))
        return ranked(read, asked, count)

    def discard(self, keys: Sequence[bytes]) -> int:
        """Drop wordings and say how many there were."""
        return self._journal.write(lambda it: self._journal.drop(it, keys))

    def scan(self, after: bytes = b"", limit: int = 500) -> Sequence[Wording]:
        """List wordings that are alive in the order of their keys, behind `after`."""
        return self._journal.do(lambda it: self._journal.page(cast("Opened", it), after, limit))

    def settle(self, timeout: float) -> bool:
        """Wait until the graphs have grown as they should; False after so many seconds."""
        return self._growth.wait(timeout)

    def close(self) -> None:
        """Save graphs that have grown, and let go of the files."""
        self._growth.stop()
        with self._lock:
            held = list(self._scopes.values())
            self._scopes.clear()
        for scope in held:
            with contextlib.suppress(StoreError, OSError):
                self._growth.save(scope)
        self._journal.close()

    def after_fork(self, *, child: bool) -> None:
        """Go on. A child begins anew: a thread of the parent may have been inside a graph."""
        super().after_fork(child=child)
        if child:
            self._inherited.append((self._scopes, self._growth))
            self._scopes = OrderedDict()
            self._begin_growth()

    def _begin_growth(self) -> None:
        self._growth = Growth(self._journal)
        # A thread that is inside a graph when the interpreter ends would end the process badly.
        weakref.finalize(self, self._growth.stop)

    def _search(
        self, database: Opened, name: bytes, asked: vectors.Floats, count: int
    ) -> list[Read]:
        scope = self._held(database, name)
        wanted = count + SPARE
        while True:
            with _turn(scope):
                self._follow(database, scope)
                ids = scope.search(asked, wanted)
            read = self._journal.fetch(database, name, ids) if ids else {}
            if len(read) < len(ids):
                with _turn(scope):
                    scope.bury([id_ for id_ in ids if id_ not in read])
            if len(read) >= count or len(ids) < wanted or wanted >= MOST:
                if scope.has_many_dead:
                    self._growth.ask(scope)
                return list(read.values())
            wanted *= 4

    def _held(self, database: Opened, name: bytes) -> Scope:
        """Return what is held of a scope, read in if it was not held."""
        with self._lock:
            if database.identity != self._identity:
                # Another file has begun in place of the one that we knew.
                self._scopes.clear()
                self._identity = database.identity
            scope = self._scopes.get(name)
            if scope is None:
                scope = self._scopes[name] = Scope(name, self._dimension)
                self._let_go_of_some(name)
            self._scopes.move_to_end(name)
        return scope

    def _follow(self, database: Opened, scope: Scope) -> None:
        if not scope.is_read:
            self._growth.load(database, scope)
            scope.is_read = True
        scope.follow(self._journal.newest(database, scope.name, scope.last, WINDOW))
        if len(scope.matrix) > (MORE if scope.graph else FIRST):
            self._growth.ask(scope)

    def _let_go_of_some(self, but: bytes) -> None:
        size = sum([scope.matrix.size for scope in self._scopes.values()])
        for name, scope in list(self._scopes.items()):
            if size <= HELD:
                break
            if scope.graph is None and name != but:
                size -= scope.matrix.size
                del self._scopes[name]


@contextlib.contextmanager
def _turn(scope: Scope) -> Iterator[None]:
    if not scope.lock.acquire(timeout=PATIENCE):
        raise StoreError("another thread has been reading in this scope for too long")
    try:
        yield
    finally:
        scope.lock.release()
