"""How many of a stream's questions were hits, and how many of the hits were wrong. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from askonce.semantic import bounds


class _Asked(Protocol):
    @property
    def answer_id(self) -> Hashable: ...


class _Served(Protocol):
    @property
    def place(self) -> int: ...

    @property
    def tier(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Rates:
    """Counts of questions, of hits among them, and of wrong ones among the hits."""

    questions: int
    hits: int
    wrong: int
    tiers: Mapping[str, int]

    @property
    def hit_rate(self) -> float:
        """The part of the questions that were hits."""
        return self.hits / self.questions if self.questions else 0.0

    @property
    def error(self) -> float:
        """The part of the hits that were wrong; 0 without hits."""
        return self.wrong / self.hits if self.hits else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Where that part is with 95 % confidence (Clopper-Pearson)."""
        return bounds.interval(self.wrong, self.hits)

    def shown(self) -> dict[str, float]:
        """Return the rates by the names they have in JSON."""
        low, high = self.interval
        return {
            "questions": self.questions,
            "hits": self.hits,
            "wrong": self.wrong,
            "hit_rate": round(self.hit_rate, 6),
            "error_among_hits": round(self.error, 6),
            "error_low": round(low, 6),
            "error_high": round(high, 6),
        }


def of(
    stream: Sequence[_Asked],
    served: Sequence[_Served | None],
    begin: int = 0,
    end: int | None = None,
) -> Rates:
    """Count over the questions from `begin` to before `end`."""
    asked, given = stream[begin:end], served[begin:end]
    hits = [(one, it) for one, it in zip(asked, given, strict=True) if it is not None]
    wrong = sum(stream[it.place].answer_id != one.answer_id for one, it in hits)
    return Rates(len(asked), len(hits), wrong, Counter(it.tier for _, it in hits))
