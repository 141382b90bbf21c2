"""An index in a Redis, by whatever that has: the query engine, or else vector sets."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from askonce.indexes.redis_rows import Missing
from askonce.indexes.redisearch import RediSearch
from askonce.indexes.vector_sets import VectorSets
from askonce.redis.address import Address
from askonce.semantic.contract import Neighbour, Wording


class RedisIndex:
    """Wordings that all who know the server's address share. The first use finds out what it has.

    A Redis that has neither answers every verb with a StoreError that says so.
    """

    def __init__(
        self,
        url: str | Address,
        *,
        embedder: str,
        dimension: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = RediSearch(url, embedder=embedder, dimension=dimension, clock=clock)
        self._sets = VectorSets(url, embedder=embedder, dimension=dimension, clock=clock)
        self._chosen: RediSearch | VectorSets | None = None
        self.ledger = self._sets.ledger
        """Counts on the same server."""

    def add(self, wordings: Sequence[Wording], vectors: NDArray[Any]) -> None:
        """Keep wordings with their vectors, in place of what their keys held."""
        self._choose().add(wordings, vectors)

    def nearest(self, scope: bytes, vector: NDArray[Any], count: int) -> Sequence[Neighbour]:
        """Return at most `count` wordings of this scope alone, the nearest first."""
        return self._choose().nearest(scope, vector, count)

    def discard(self, keys: Sequence[bytes]) -> int:
        """Drop wordings and say how many there were."""
        return self._choose().discard(keys)

    def scan(self, after: bytes = b"", limit: int = 500) -> Sequence[Wording]:
        """List wordings that are alive in the order of their keys, behind `after`."""
        return self._choose().scan(after, limit)

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.close()
        self._sets.close()

    def _choose(self) -> RediSearch | VectorSets:
        if self._chosen is None:
            try:
                self._engine.prepare()
            except Missing:
                self._sets.prepare()
                self._chosen = self._sets
            else:
                self._chosen = self._engine
        return self._chosen
