"""What all indexes do with vectors alike, so that all of them say the same similarity.

Vectors are kept in half precision: of 384 numbers that makes 768 bytes, and moves a cosine by some
0.0003 at most. The question's is rounded in the same way.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy
from numpy.typing import NDArray

from askonce.errors import ConfigError

Halves: TypeAlias = NDArray[numpy.float16]
Floats: TypeAlias = NDArray[numpy.float32]

_LEAST = numpy.float32(1e-6)
"""Stands for the length of a vector of zeros, whose cosine is 0 with everything."""


def halves(vectors: NDArray[Any], count: int, dimension: int) -> Halves:
    """Check vectors, one a row, and round them. ConfigError if they cannot be kept."""
    if vectors.shape != (count, dimension):
        raise ConfigError(
            f"vectors of shape {vectors.shape} do not fit {count} texts in {dimension} dimensions: "
            "give the index the dimension of its embedder"
        )
    rounded = vectors.astype(numpy.float16)
    if not numpy.isfinite(rounded).all():
        raise ConfigError("a vector has a number that is not finite: the embedder is at fault")
    return rounded


def question(vector: NDArray[Any], dimension: int) -> Floats:
    """Round the vector of what is asked, and bring it to length 1."""
    asked: Floats = units(halves(vector.reshape(1, -1), 1, dimension))[0]
    return asked


def units(rounded: NDArray[Any]) -> Floats:
    """Bring rows to length 1, in single precision."""
    rows = rounded.astype(numpy.float32)
    lengths = numpy.sqrt(numpy.einsum("ij,ij->i", rows, rows))
    rows /= numpy.maximum(lengths, _LEAST)[:, None]
    return rows


def parsed(blobs: list[bytes], dimension: int) -> Halves:
    """Read vectors from the bytes of their halves, little-endian, all of the right size."""
    return numpy.frombuffer(b"".join(blobs), dtype="<f2").reshape(len(blobs), dimension)


def best(scores: Floats, count: int) -> NDArray[numpy.intp]:
    """Return the places of the highest scores, the highest first."""
    if count < len(scores):
        places = numpy.argpartition(scores, -count)[-count:]
        order: NDArray[numpy.intp] = places[numpy.argsort(-scores[places], kind="stable")]
        return order
    return numpy.argsort(-scores, kind="stable")


def turned(halves_: bytes) -> bytes:
    """Turn halves whose high byte comes first into ours, whose low byte does."""
    return numpy.frombuffer(halves_, dtype=">f2").astype("<f2").tobytes()
