"""What every embedder sees to: shape, finite numbers, length 1."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from askonce.errors import AskonceError, ConfigError

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

NEEDED = 'pip install "askonce[semantic]"'

LEAST_LENGTH = 1e-6
"""A vector that is shorter has no direction that could be trusted in 32 bits."""


class EmbedderError(AskonceError):
    """A text could not be made a vector, or what came for it is none."""


def needs(what: str, *packages: str) -> None:
    """Raise ConfigError, which names the fix, for packages that are missing. None is imported."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ConfigError(f"{what} needs {', '.join(missing)}: {NEEDED}")


def normal(raw: Any, count: int, dimension: int | None, source: str) -> NDArray[numpy.float32]:
    """Return vectors of length 1, one a row: shape `(count, dimension)`, float32, a new array.

    `raw` is anything that numpy reads; any dimension will do where None is asked for. Raises
    EmbedderError for another shape, for what is no number or not finite, and for a zero vector.
    """
    import numpy

    try:
        vectors = numpy.asarray(raw)
    except (TypeError, ValueError) as wrong:
        raise EmbedderError(f"{source} gave no rows of numbers of one length: {wrong}") from wrong
    if not count and not vectors.size:
        return numpy.empty((0, dimension or 0), dtype=numpy.float32)
    if vectors.ndim != 2 or vectors.shape[0] != count or not vectors.shape[1]:
        raise EmbedderError(f"{source} gave the shape {vectors.shape} for {count} texts")
    if dimension is not None and vectors.shape[1] != dimension:
        raise EmbedderError(
            f"{source} gave vectors of {vectors.shape[1]} numbers, and not of {dimension}"
        )
    if vectors.dtype.kind not in "iuf":
        raise EmbedderError(f"{source} gave {vectors.dtype} where numbers were asked for")
    vectors = vectors.astype(numpy.float64)
    with numpy.errstate(over="ignore", invalid="ignore"):  # said as an error below
        lengths = numpy.linalg.norm(vectors, axis=1, keepdims=True)
    if not numpy.isfinite(lengths).all():
        raise EmbedderError(f"{source} gave a vector with NaN, infinite or too large numbers")
    if (lengths < LEAST_LENGTH).any():
        raise EmbedderError(f"{source} gave a zero vector")
    unit: NDArray[numpy.float32] = (vectors / lengths).astype(numpy.float32)
    return unit
