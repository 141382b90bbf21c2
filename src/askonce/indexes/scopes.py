"""What a process holds of one scope: a matrix of its newest vectors, and a graph of the others.

The matrix is searched exactly. What it and the graph find are ids of rows; the journal then says
which of them are still there, so nobody need tell of deletions.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy
from numpy.typing import NDArray

from askonce.indexes import vectors
from askonce.indexes.graphs import Graph
from askonce.indexes.journal import Row

WINDOW = 50_000
"""Rows of the matrix at most, 75 MB in 384 dimensions and 1 ms to search. While a graph of more is
built, the oldest are found only as they come into it."""


class Matrix:
    """The newest rows, searched exactly."""

    def __init__(self, dimension: int) -> None:
        self._ids = numpy.empty(0, numpy.int64)
        self._rows = numpy.empty((0, dimension), numpy.float32)
        self._first = self._end = 0
        self.last = 0
        """The id of the last row, even if it is gone."""

    def __len__(self) -> int:
        return self._end - self._first

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return self._rows.nbytes + self._ids.nbytes

    def add(self, rows: Sequence[Row]) -> None:
        """Add rows whose ids rise."""
        parsed = vectors.parsed([vector for _, vector in rows], self._rows.shape[1])
        self._make_room(len(rows))
        end = self._end + len(rows)
        self._rows[self._end : end] = vectors.units(parsed)
        self._ids[self._end : end] = [id_ for id_, _ in rows]
        self._end, self.last = end, rows[-1][0]

    def forget(self, last: int) -> None:
        """Let go of the rows up to an id."""
        self._first += int(numpy.searchsorted(self._ids[self._first : self._end], last, "right"))

    def keep_newest(self, most: int) -> None:
        """Let go of all but so many rows."""
        self._first = max(self._first, self._end - most)

    def drop(self, dead: set[int]) -> None:
        """Let go of single rows."""
        ids = self._ids[self._first : self._end]
        stay = ~numpy.isin(ids, numpy.fromiter(dead, numpy.int64, len(dead)))
        self._rows = self._rows[self._first : self._end][stay]
        self._ids = ids[stay]
        self._first, self._end = 0, len(self._ids)

    def search(self, asked: vectors.Floats, count: int) -> list[tuple[float, int]]:
        """Return the cosines and ids of the nearest."""
        scores = self._rows[self._first : self._end] @ asked
        places = vectors.best(scores, count)
        ids = self._ids[self._first : self._end][places]
        return list(zip(scores[places].tolist(), ids.tolist(), strict=True))

    def _make_room(self, count: int) -> None:
        if self._end + count <= len(self._ids):
            return
        held = len(self)
        room = max(16, held + count, min(2 * held, held + WINDOW))
        ids = numpy.empty(room, numpy.int64)
        rows = numpy.empty((room, self._rows.shape[1]), numpy.float32)
        ids[:held] = self._ids[self._first : self._end]
        rows[:held] = self._rows[self._first : self._end]
        self._ids, self._rows, self._first, self._end = ids, rows, 0, held


class Scope:
    """What is held of one scope. Everything but `name` and `lock` is used under the lock."""

    def __init__(self, name: bytes, dimension: int) -> None:
        self.name = name
        self.lock = threading.Lock()
        self.matrix = Matrix(dimension)
        self.graph: Graph | None = None
        self.is_read = False
        """Whether a graph that was saved has been looked for."""
        self.saved = 0
        """How many vectors the graph had when it was last saved or loaded."""
        self.counted = 0
        """How many it had when it was last compared with the journal."""
        self._dead: set[int] = set()

    @property
    def last(self) -> int:
        """The id behind which are the rows that are not known yet."""
        return max(self.matrix.last, self.graph.last if self.graph else 0)

    def take(self, graph: Graph) -> None:
        """Take another graph, whose rows the matrix need not hold."""
        self.graph = graph
        self.matrix.forget(graph.last)
        self._dead.clear()

    def follow(self, rows: Sequence[Row]) -> None:
        """Add rows that somebody has written."""
        if rows:
            self.matrix.add(rows)
            self.matrix.keep_newest(WINDOW)

    def search(self, asked: vectors.Floats, count: int) -> list[int]:
        """Return the ids of the nearest rows, the nearest first; at most `count`."""
        count += min(len(self._dead), count)
        found = self.matrix.search(asked, count) if len(self.matrix) else []
        if self.graph:
            ids, cosines = self.graph.search(asked, count)
            found += zip(cosines, ids, strict=True)
        found.sort(reverse=True)
        alive = dict.fromkeys([id_ for _, id_ in found if id_ not in self._dead])
        return list(alive)[:count]

    def bury(self, dead: Sequence[int]) -> None:
        """Take note of rows that are gone."""
        self._dead.update(dead)
        if self.graph is None and len(self._dead) > 16 + len(self.matrix) // 8:
            self.matrix.drop(self._dead)
            self._dead.clear()

    @property
    def has_many_dead(self) -> bool:
        """Say whether a good part of what the graph finds is gone."""
        return self.graph is not None and len(self._dead) > 64 + len(self.graph) // 16

    def is_worn(self, alive: int) -> bool:
        """Say whether more than a quarter of the graph is gone, given what is there of it."""
        return self.graph is not None and 4 * alive < 3 * len(self.graph)


def split(rows: Sequence[Row], dimension: int) -> tuple[NDArray[numpy.uint64], vectors.Halves]:
    """Make ids and vectors of rows, as a graph takes them."""
    ids = numpy.array([id_ for id_, _ in rows], numpy.uint64)
    return ids, vectors.parsed([vector for _, vector in rows], dimension)
