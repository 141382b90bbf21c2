"""Vectors from a server that speaks OpenAI's `/embeddings`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from askonce import units
from askonce.embedders.vectors import EmbedderError, needs, normal
from askonce.embedders.wires import Wire, wire_of
from askonce.errors import ConfigError

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray


class Endpoint:
    """Embeds by a server that speaks OpenAI's `/embeddings`.

        Endpoint(OpenAI(), "text-embedding-3-small")
        Endpoint("http://127.0.0.1:8000/v1", "bge-m3", api_key="...")

    `upstream` is a blocking client of the `openai` package, which stays yours to close, or a base
    URL, asked by httpx2 or httpx. Texts go `batch` at a time. A request is given up when nothing is
    heard for `timeout` (seconds, or "500ms"), and is not made again: a lookup has no time for that.

    `dimensions` is asked of the server where given; otherwise the first answer tells the dimension,
    and `name` or `dimension` ask for one vector to know it. Raise `revision` when the server's
    model changes under its name.

    Raises EmbedderError for an answer that is no vectors. Errors of the client pass untouched.
    """

    def __init__(
        self,
        upstream: Any,
        model: str,
        *,
        api_key: str | None = None,
        dimensions: int | None = None,
        revision: str = "",
        timeout: str | float = 5.0,
        batch: int = 128,
    ) -> None:
        if not model or not isinstance(model, str):
            raise ConfigError("model must name an embedding model of the server")
        if dimensions is not None and dimensions < 1:
            raise ConfigError(f"dimensions={dimensions!r} must be a whole number from 1")
        if batch < 1:
            raise ConfigError(f"batch={batch!r} must be a whole number from 1")
        seconds = units.seconds(timeout)
        if seconds is None:
            raise ConfigError("timeout must be given: a lookup cannot wait for ever")
        needs("an embedding endpoint", "numpy")
        self._wire: Wire = wire_of(upstream, api_key, seconds)
        self._model = model
        self._revision = revision
        self._batch = batch
        self._asked = {} if dimensions is None else {"dimensions": dimensions}
        self._dimension = dimensions

    @property
    def name(self) -> str:
        """The model, its dimension, the server, and the revision given."""
        at = f"{self._model}/{self.dimension}@{self._wire.place}"
        return f"{at}#{self._revision}" if self._revision else at

    @property
    def dimension(self) -> int:
        """How many numbers a vector has; asked of the server if it is not known yet."""
        if self._dimension is None:
            self.embed(["dimension"])
        assert self._dimension is not None
        return self._dimension

    def embed(self, texts: Sequence[str]) -> NDArray[numpy.float32]:
        """Return one vector of length 1 a row: shape `(len(texts), dimension)`.

        Raises EmbedderError for an answer that is no vectors; errors of the client pass.
        """
        import numpy

        if not texts:
            return numpy.empty((0, self.dimension), dtype=numpy.float32)
        starts = range(0, len(texts), self._batch)
        parts = [self._part(list(texts[start : start + self._batch])) for start in starts]
        return numpy.concatenate(parts)

    def _part(self, texts: list[str]) -> NDArray[numpy.float32]:
        asked = {"model": self._model, "input": texts, "encoding_format": "float", **self._asked}
        rows = sorted(self._wire.ask(asked), key=lambda row: row[0])
        if [place for place, _ in rows] != list(range(len(texts))):
            raise EmbedderError(
                f"{self._wire.place} gave {len(rows)} vectors for {len(texts)} texts, "
                f"or numbered them wrongly"
            )
        source = f"{self._model!r} at {self._wire.place}"
        vectors = normal([row for _, row in rows], len(texts), self._dimension, source)
        if self._dimension is None:
            self._dimension = vectors.shape[1]
        return vectors
