"""An index in the memory of one process: exact, and gone when the process ends."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from askonce.errors import StoreError
from askonce.indexes import vectors
from askonce.indexes.choosing import is_alive
from askonce.semantic.contract import Neighbour, Wording
from askonce.stores import forks

LIMIT = 100_000
"""Wordings kept, unless said otherwise: 150 MB in 384 dimensions."""


class _Scope:
    """The wordings of one scope, and one row for the vector of each."""

    def __init__(self, dimension: int) -> None:
        self.wordings: list[Wording] = []
        self.places: dict[bytes, int] = {}
        self._rows = numpy.empty((8, dimension), numpy.float32)

    def add(self, wording: Wording, row: vectors.Floats) -> None:
        place = len(self.wordings)
        if place == len(self._rows):
            self._rows = numpy.concatenate([self._rows, numpy.empty_like(self._rows)])
        self._rows[place] = row
        self.places[wording.key] = place
        self.wordings.append(wording)

    def drop(self, key: bytes) -> None:
        """Drop a wording; the last one takes its place."""
        place, last = self.places.pop(key), self.wordings.pop()
        if last.key != key:
            self.wordings[place] = last
            self._rows[place] = self._rows[len(self.wordings)]
            self.places[last.key] = place

    def scores(self, asked: vectors.Floats) -> vectors.Floats:
        found: vectors.Floats = self._rows[: len(self.wordings)] @ asked
        return found


class Memory(forks.Locked):
    """Wordings of one process. Above `limit` of them the oldest are dropped."""

    def __init__(
        self, dimension: int, limit: int = LIMIT, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__()
        self.ledger = MemoryLedger()
        """Counts that last as long."""
        self._dimension = dimension
        self._limit = limit
        self._clock = clock
        self._scopes: dict[bytes, _Scope] = {}
        self._where: dict[bytes, bytes] = {}
        """The scope of each key, the oldest first."""
        self._closed = False

    def add(self, wordings: Sequence[Wording], vectors_: NDArray[Any]) -> None:
        """Keep wordings with their vectors, in place of what their keys held."""
        rows = vectors.units(vectors.halves(vectors_, len(wordings), self._dimension))
        with self._lock:
            self._check_open()
            for wording, row in zip(wordings, rows, strict=True):
                self._drop(wording.key)
                scope = self._scopes.get(wording.scope)
                if scope is None:
                    scope = self._scopes[wording.scope] = _Scope(self._dimension)
                scope.add(wording, row)
                self._where[wording.key] = wording.scope
            while len(self._where) > self._limit:
                self._drop(next(iter(self._where)))

    def nearest(self, scope: bytes, vector: NDArray[Any], count: int) -> Sequence[Neighbour]:
        """Return at most `count` wordings of this scope alone, the nearest first."""
        asked = vectors.question(vector, self._dimension)
        with self._lock:
            self._check_open()
            held = self._scopes.get(scope)
            if held is None or count <= 0:
                return []
            scores = held.scores(asked)
            found, expired = _alive(held.wordings, scores, count, self._clock())
            for key in expired:
                self._drop(key)
            return found

    def discard(self, keys: Sequence[bytes]) -> int:
        """Drop wordings and say how many there were."""
        with self._lock:
            self._check_open()
            return sum([self._drop(key) for key in keys])

    def scan(self, after: bytes = b"", limit: int = 500) -> Sequence[Wording]:
        """List wordings that are alive in the order of their keys, behind `after`."""
        with self._lock:
            self._check_open()
            now = self._clock()
            found = (it for it in self._behind(after) if is_alive(it, now))
            return heapq.nsmallest(limit, found, key=lambda wording: wording.key)

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._closed = True
            self._scopes.clear()
            self._where.clear()

    def _behind(self, after: bytes) -> Iterator[Wording]:
        for key, scope in self._where.items():
            if key > after:
                held = self._scopes[scope]
                yield held.wordings[held.places[key]]

    def _drop(self, key: bytes) -> bool:
        scope = self._where.pop(key, None)
        if scope is None:
            return False
        held = self._scopes[scope]
        held.drop(key)
        if not held.wordings:
            del self._scopes[scope]
        return True

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("this index is closed: open a new one")


class MemoryLedger(forks.Locked):
    """Counts of one process."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, int] = {}

    def add(self, counts: Mapping[str, int]) -> None:
        """Add to counts."""
        with self._lock:
            for name, number in counts.items():
                self._counts[name] = self._counts.get(name, 0) + number

    def read(self) -> Mapping[str, int]:
        """Return all counts."""
        with self._lock:
            return dict(self._counts)


def _alive(
    wordings: Sequence[Wording], scores: vectors.Floats, count: int, now: float
) -> tuple[list[Neighbour], list[bytes]]:
    """Choose the best that are alive, and name those found expired on the way."""
    wanted = count
    while True:
        found, expired = [], []
        for place in vectors.best(scores, wanted):
            wording = wordings[place]
            if is_alive(wording, now):
                found.append(Neighbour(wording, float(scores[place])))
            else:
                expired.append(wording.key)
        if len(found) >= count or wanted >= len(scores):
            return found[:count], expired
        wanted *= 4
