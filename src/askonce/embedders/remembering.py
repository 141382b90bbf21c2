"""An embedder in front of another, which is asked for each text once."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from askonce import units
from askonce.semantic.contract import Embedder
from askonce.stores.forks import Locked

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

ENTRY_OVERHEAD = 150
"""Bytes of an entry beside its text and vector: its place in the dict, 100 to 153 while entries
come and go. Measured with tracemalloc on CPython 3.11."""


def weight(text: str, vector: bytes) -> int:
    """Say how many bytes of memory a text and its vector take."""
    return ENTRY_OVERHEAD + sys.getsizeof(text) + sys.getsizeof(vector)


class Remembering(Locked):
    """Remembers the vectors of another embedder, and asks it only for what is missing.

    `limit` bounds texts and vectors in bytes; the least recently used go first. Any number of
    threads may share it.
    """

    def __init__(self, embedder: Embedder, limit: str | int = "16MB") -> None:
        super().__init__()
        self._embedder = embedder
        self._limit = units.size(limit)
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    @property
    def name(self) -> str:
        """That of the other embedder."""
        return self._embedder.name

    @property
    def dimension(self) -> int:
        """That of the other embedder."""
        return self._embedder.dimension

    def embed(self, texts: Sequence[str]) -> NDArray[numpy.float32]:
        """Return one vector of length 1 a row: shape `(len(texts), dimension)`.

        What the other embedder raises passes untouched, and nothing is kept of it.
        """
        import numpy

        vectors = self._look(texts)
        missing = [text for text in dict.fromkeys(texts) if text not in vectors]
        if missing:
            made = self._embedder.embed(missing)
            new = {text: row.tobytes() for text, row in zip(missing, made, strict=True)}
            self._keep(new)
            vectors |= new
        rows = numpy.frombuffer(b"".join(vectors[text] for text in texts), dtype=numpy.float32)
        return rows.reshape(len(texts), self.dimension).copy()

    def _look(self, texts: Iterable[str]) -> dict[str, bytes]:
        found = {}
        with self._lock:
            for text in texts:
                vector = self._kept.get(text)
                if vector is not None:
                    self._kept.move_to_end(text)
                    found[text] = vector
        return found

    def _keep(self, vectors: Mapping[str, bytes]) -> None:
        with self._lock:
            for text, vector in vectors.items():
                if text not in self._kept:
                    self._kept[text] = vector
                    self._bytes += weight(text, vector)
            while self._bytes > self._limit:
                self._bytes -= weight(*self._kept.popitem(last=False))
