"""Any function that makes vectors of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from askonce.embedders.vectors import needs, normal
from askonce.errors import ConfigError

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray


class Function:
    """Embeds by a function of yours: a list of texts in, a row of numbers for each out.

        Function(lambda texts: model.encode(texts), name="bge-small-en-v1.5", dimension=384)

    Rows may be lists or arrays, of any length but zero. The function is called from any thread, and
    by several at once; what it raises passes untouched. `name` is the model and its version: give
    it another whenever the same text would get another vector.
    """

    def __init__(self, function: Callable[[list[str]], Any], *, name: str, dimension: int) -> None:
        if not callable(function):
            raise ConfigError(f"{function!r} is no function: give one that takes a list of texts")
        if not name or not isinstance(name, str):
            raise ConfigError("name must say which model and version makes the vectors")
        if not isinstance(dimension, int) or dimension < 1:
            raise ConfigError(f"dimension={dimension!r} must be a whole number from 1")
        needs("an embedding function", "numpy")
        self._function = function
        self._name = f"{name}/{dimension}"
        self._dimension = dimension

    @property
    def name(self) -> str:
        """The name given, and the dimension."""
        return self._name

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        return self._dimension

    def embed(self, texts: Sequence[str]) -> NDArray[numpy.float32]:
        """Return one vector of length 1 a row: shape `(len(texts), dimension)`.

        Raises EmbedderError where the function gives anything but such rows.
        """
        made = self._function(list(texts)) if texts else []
        return normal(made, len(texts), self._dimension, f"the function of {self._name!r}")
