"""What the semantic tiers ask of others: vectors, neighbours, and counts of what was right.

All of it blocks and may be called from any thread: a lookup runs as a whole in a thread of its own
and is given up at its deadline. What fails raises; whoever asked takes that for a miss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Vector: TypeAlias = NDArray[numpy.float32]
    """Of length 1 in the sense of Euclid, so that a product of two is their cosine."""


class Embedder(Protocol):
    """Turns texts into vectors."""

    @property
    def name(self) -> str:
        """The model and its version. Vectors of two names are never compared."""

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""

    def embed(self, texts: Sequence[str]) -> NDArray[numpy.float32]:
        """Return one vector of length 1 a row: shape `(len(texts), dimension)`."""


class Wording(Struct, frozen=True, gc=False):
    """A question as it was asked, where its answer is, and what must be equal to be served it."""

    key: bytes
    """Of the exact request; one wording a key."""
    scope: bytes
    """Digest of everything else in the request, and of the tenant."""
    answer: bytes
    """Key of the entry that answers it. Wordings with one answer were judged to be the same."""
    text: str
    expires: float | None = None
    """Seconds since the epoch after which it is of no use, as that of its entry."""
    barred: bool = False
    """It once led to a wrong answer, and leads to none by itself any more."""


class Neighbour(Struct, frozen=True, gc=False):
    """A wording near to what was asked."""

    wording: Wording
    similarity: float
    """Cosine, from -1 to 1."""


class Index(Protocol):
    """Finds the wordings nearest to a vector.

    It is a view: the entries say what may be served. It never holds vectors of two embedders, and
    may forget; what it finds is alive at that time, or was a moment ago.
    """

    def add(self, wordings: Sequence[Wording], vectors: NDArray[numpy.float32]) -> None:
        """Keep wordings with their vectors, in place of what their keys held."""

    def nearest(self, scope: bytes, vector: Vector, count: int) -> Sequence[Neighbour]:
        """Return at most `count` wordings of this scope alone, the nearest first."""

    def discard(self, keys: Sequence[bytes]) -> int:
        """Drop wordings and say how many there were."""

    def scan(self, after: bytes = b"", limit: int = 500) -> Sequence[Wording]:
        """List wordings that are alive in the order of their keys, behind `after`."""

    def close(self) -> None:
        """Let go of files and connections."""


class Ledger(Protocol):
    """Counts that all processes share, such as hits found right and wrong."""

    def add(self, counts: Mapping[str, int]) -> None:
        """Add to counts. Nothing that was added is lost to another process that adds."""

    def read(self) -> Mapping[str, int]:
        """Return all counts."""
