"""all-MiniLM-L6-v2 on this machine, by ONNX Runtime. It never uses a network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from askonce.embedders.vectors import EmbedderError, needs, normal
from askonce.errors import ConfigError
from askonce.semantic import inference
from askonce.stores.forks import Locked

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

MODEL = "all-MiniLM-L6-v2"
PACKAGES = ("numpy", "onnxruntime", "tokenizers", "askonce_models")
WEIGHTS = "embedder.onnx"
TOKENIZER = "tokenizer.json"
DIMENSION = 384
MOST_TOKENS = 256
"""Tokens of a text, its two marks included: what the model is published with. A longer text would
be cut, and be one with every other that begins like it."""
MOST_CHARACTERS = 100 * MOST_TOKENS
"""Longer texts are not even divided into tokens; of a word the model reads 100 characters."""
TOGETHER = 256
"""Tokens that go through the model at once, filled up ones included. With 128 to 512 a text takes
some 20 % less than alone; with 2048 nothing is won, for it leaves the processor's caches."""


class Local(Locked):
    """Embeds on this machine, with weights from the package `askonce-models`.

    The model is opened at first use. Any number of threads may share it; each call keeps one thread
    of its own busy, or `threads`.

    A text of more than 256 tokens, and one with a word that the model cannot read, is an
    EmbedderError: its vector would be that of other texts too. The model knows English, and tells
    no letter by its case or accent. Raises ConfigError where a package is missing.
    """

    def __init__(self, *, threads: int = 1) -> None:
        if threads < 1:
            raise ConfigError(f"threads={threads!r} must be a whole number from 1")
        needs("the local embedder", *PACKAGES)
        super().__init__()
        self._threads = threads
        self._name = ""
        self._model: _Model | None = None

    @property
    def name(self) -> str:
        """The model, and a digest of its files."""
        if not self._name:
            import askonce_models

            files = "".join(askonce_models.sha256(name) for name in (WEIGHTS, TOKENIZER))
            self._name = f"{MODEL}@{hashlib.sha256(files.encode()).hexdigest()[:12]}"
        return self._name

    @property
    def dimension(self) -> int:
        """384."""
        return DIMENSION

    def embed(self, texts: Sequence[str]) -> NDArray[numpy.float32]:
        """Return one vector of length 1 a row: shape `(len(texts), 384)`.

        Raises EmbedderError for a text that is too long or has a word that cannot be read.
        """
        model = self._model
        if model is None:
            with self._lock:
                if self._model is None:
                    self._model = _Model(self._threads)
                model = self._model
        return model.embed(texts)


class _Model:
    """The opened model."""

    def __init__(self, threads: int) -> None:
        import askonce_models
        from tokenizers import Tokenizer

        self._session = inference.session(askonce_models.path(WEIGHTS), threads)
        self._tokenizer = Tokenizer.from_file(str(askonce_models.path(TOKENIZER)))
        self._unknown = self._tokenizer.token_to_id("[UNK]")

    def embed(self, texts: Sequence[str]) -> NDArray[numpy.float32]:
        import numpy

        rows = [self._tokens(text) for text in texts]
        vectors = numpy.empty((len(rows), DIMENSION), dtype=numpy.float32)
        for places in together([len(row) for row in rows]):
            vectors[places] = self._run([rows[place] for place in places])
        return normal(vectors, len(rows), DIMENSION, MODEL)

    def _tokens(self, text: str) -> list[int]:
        if len(text) > MOST_CHARACTERS:
            raise EmbedderError(f"a text of {len(text)} characters is too long for {MODEL}")
        read = self._tokenizer.encode(text)
        tokens: list[int] = read.ids
        if len(tokens) > MOST_TOKENS:
            raise EmbedderError(
                f"a text of {len(tokens)} tokens is too long for {MODEL}: it reads {MOST_TOKENS}"
            )
        if self._unknown in tokens:
            for token, (start, end) in zip(tokens, read.offsets, strict=True):
                if token == self._unknown and any(map(str.isalnum, text[start:end])):
                    raise EmbedderError(f"{MODEL} cannot read the word {text[start:end]!r}")
        return tokens

    def _run(self, rows: Sequence[Sequence[int]]) -> Any:
        import numpy

        ids = numpy.zeros((len(rows), max(map(len, rows))), dtype=numpy.int64)
        seen = numpy.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
            seen[place, : len(row)] = 1
        return self._session.run(None, {"input_ids": ids, "attention_mask": seen})[0]


def together(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Divide texts into batches, the places of each, so that few tokens are filled up."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[place] > TOGETHER:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
