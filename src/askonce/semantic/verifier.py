"""A small model reads two questions side by side and says whether they have one answer.

The model is a cross-encoder made from all-MiniLM-L6-v2. What it was trained on, what it is bad at
and how its scores were calibrated: models/VERIFIER_CARD.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from askonce.errors import ConfigError
from askonce.semantic import inference

WEIGHTS = "verifier.onnx"
TOKENIZER = "tokenizer.json"
MOST_TOKENS = 128
"""Tokens of both questions together, with three marks. Of a longer pair the model would not see the
end, and it was never trained on one."""
ENOUGH = 1.0
"""Log-odds below which the other order is not read. Nothing that was served in the calibration had
less in one order, and two of three pairs that the guards let pass have: half of their time."""
MOST_CHARACTERS = 100 * MOST_TOKENS
"""Longer pairs are not even divided into tokens."""

_NEEDED = 'pip install "askonce[semantic]"'


class Verifier:
    """Judges pairs of questions on this machine, with weights from the package `askonce-models`.

    The model is opened at first use. Any number of threads may share it; each call keeps one thread
    busy. Raises ConfigError where a package is missing. `weights` and `tokenizer` name other files.
    """

    def __init__(self, *, weights: Path | None = None, tokenizer: Path | None = None) -> None:
        self._weights = weights
        self._tokenizer = tokenizer
        self._model: _Model | None = None

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return from 0 to 1 how likely the answer to one question of a pair serves the other.

        The order within a pair does not matter, nor what else is asked in the same call. The score
        is 0 for a pair of more than 128 tokens, which is never cut, and for one with a word that
        the model cannot read. It tells no letter by its case or accent: that is for the guards.
        """
        model = self._model
        if model is None:
            # Without a lock, which a fork could leave shut: of two that are opened one is kept.
            self._model = model = _Model(
                self._weights or _shipped(WEIGHTS), self._tokenizer or _shipped(TOKENIZER)
            )
        return [model.score(one, other) for one, other in pairs]


class _Model:
    """The opened model."""

    def __init__(self, weights: Path, tokenizer: Path) -> None:
        try:
            import numpy
            import tokenizers

            self._session = inference.session(weights)
        except ImportError as missing:
            raise ConfigError(f"the verifier needs {missing.name}: {_NEEDED}") from missing
        self._numpy = numpy
        self._tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer))
        self._unknown: Any = self._tokenizer.token_to_id("[UNK]")
        self._begin: Any = self._tokenizer.token_to_id("[CLS]")
        self._end: Any = self._tokenizer.token_to_id("[SEP]")

    def score(self, one: str, other: str) -> float:
        if len(one) + len(other) > MOST_CHARACTERS:
            return 0.0
        first, second = self._tokens(one), self._tokens(other)
        if first is None or second is None or len(first) + len(second) + 3 > MOST_TOKENS:
            return 0.0
        if other < one:
            first, second = second, first
        log_odds = self._read(first, second)
        if log_odds > ENOUGH:
            log_odds = (log_odds + self._read(second, first)) / 2
        return 1.0 / (1.0 + math.exp(-log_odds))

    def _read(self, first: list[int], second: list[int]) -> float:
        """Return the log-odds of a pair in this order."""
        ids = self._numpy.array([self._row(first, second)], dtype=self._numpy.int64)
        sides = self._numpy.zeros_like(ids)
        sides[0, len(first) + 2 :] = 1
        read = {
            "input_ids": ids,
            "attention_mask": self._numpy.ones_like(ids),
            "token_type_ids": sides,
        }
        return float(self._session.run(["log_odds"], read)[0][0])

    def _tokens(self, text: str) -> list[int] | None:
        """Return the tokens of a text; None if there is a word that cannot be read."""
        read = self._tokenizer.encode(text, add_special_tokens=False)
        tokens: list[int] = read.ids
        if self._unknown in tokens:
            for token, (start, end) in zip(tokens, read.offsets, strict=True):
                if token == self._unknown and any(map(str.isalnum, text[start:end])):
                    return None
        return tokens

    def _row(self, first: list[int], second: list[int]) -> list[int]:
        return [self._begin, *first, self._end, *second, self._end]


def _shipped(name: str) -> Path:
    try:
        import askonce_models
    except ImportError as missing:
        raise ConfigError(f"the verifier needs askonce-models: {_NEEDED}") from missing
    path: Path = askonce_models.path(name)
    return path
