"""How a cache looks for the same question in other words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from askonce import units
from askonce.errors import ConfigError
from askonce.semantic.contract import Embedder, Index
from askonce.semantic.judges import Judge


@dataclass(frozen=True, slots=True)
class Semantic:
    """Answers a reworded question from the cache, within an equal request otherwise.

    There are three tiers, the safest first. By *canonical text* two questions are the same if they
    differ in politeness, articles, contractions, signs at the end, or in how they ask what
    something is, means or how it works. With `verified`, a question near to one that has an answer
    is answered live, `judge` then compares the two, and if they are the same the new wording stands
    for the old entry from then on. With `direct`, a question is answered at once from a near one,
    if at most `max_error` of such hits are wrong, at 95 % confidence; the evidence begins with the
    shipped calibration, or with `calibration=None` with nothing, so that one's own traffic must
    bring it. `audits` is the part of such hits that is asked live all the same, for ever, so that
    the evidence is true of this traffic.

    With `shadow` direct hits are looked up and never served: the outcomes say what would have been.
    `log` is a file to which every judged pair is added, for `askonce tune`; it holds the questions.
    A lookup that takes longer than `timeout` (seconds, or "50ms") is a miss.

    `embedder` and `index` take the place of the local ones. The two upper tiers need what
    `pip install askonce[semantic]` brings; `Semantic(direct=False, verified=False)` does not.
    """

    direct: bool = True
    verified: bool = True
    max_error: float = 0.01
    calibration: Literal["shipped"] | None = "shipped"
    audits: float = 0.05
    shadow: bool = False
    timeout: str | float = 0.1
    judge: Judge | None = None
    embedder: Embedder | None = None
    index: str | Index | None = None
    log: str | Path | None = None

    def __post_init__(self) -> None:
        if not _is_part(self.max_error) or not 0 < self.max_error < 1:
            raise ConfigError(f"max_error={self.max_error!r}: use a part of all hits, such as 0.01")
        if not _is_part(self.audits) or not 0 <= self.audits <= 1:
            raise ConfigError(f"audits={self.audits!r}: use a part of all hits, such as 0.05")
        if self.calibration not in ("shipped", None):
            raise ConfigError(f'calibration={self.calibration!r}: use "shipped" or None')
        try:
            timeless = self.seconds is None
        except ConfigError:
            timeless = True
        if timeless:
            raise ConfigError(f'timeout={self.timeout!r}: use seconds, such as 0.1, or "100ms"')
        _check("judge", self.judge, "same")
        _check("embedder", self.embedder, "embed")
        if not isinstance(self.index, str):
            _check("index", self.index, "nearest")
        if self.direct and not self.verified:
            raise ConfigError("direct hits need verified=True: their audits are what it judges")

    @property
    def seconds(self) -> float | None:
        """The time a lookup may take, in seconds."""
        return units.seconds(self.timeout)

    @property
    def by_vectors(self) -> bool:
        """Whether near questions are looked for."""
        return self.verified or self.direct


def _is_part(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check(name: str, given: object, verb: str) -> None:
    if given is not None and not callable(getattr(given, verb, None)):
        raise ConfigError(f"{name}={given!r}: use an object with the method {verb!r}")


def read(semantic: Semantic | bool | None) -> Semantic | None:
    """Read what was given for `semantic`. ConfigError for anything else."""
    if semantic is True:
        return Semantic()
    if isinstance(semantic, Semantic):
        return semantic
    if semantic:
        raise ConfigError(f"{semantic!r} is no setting: write semantic=True or Semantic(...)")
    return None
