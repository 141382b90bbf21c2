"""What a run says: one row for each thing measured, and whether its budget was met."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Budget:
    """What is asked of a row: of its p50, or of how many times the group's first row takes."""

    most: float = math.inf
    at_least_times: float = 0.0
    at_most_times: float = math.inf

    def met(self, p50: float, ratio: float | None) -> bool | None:
        """Say whether a figure keeps this budget; None if nothing is asked, or nothing to compare.

        A figure is compared as it was measured, not as it is printed.
        """
        if self == ANY or (ratio is None and self.most == math.inf):
            return None
        return p50 <= self.most and (
            ratio is None or self.at_least_times <= ratio <= self.at_most_times
        )

    def text(self, unit: str) -> str:
        """Write what is asked."""
        parts = [
            f"<= {self.most:g} {unit}" if self.most < math.inf else "",
            f">= {self.at_least_times:g} x" if self.at_least_times else "",
            f"<= {self.at_most_times:g} x" if self.at_most_times < math.inf else "",
        ]
        return ", ".join(filter(None, parts))


ANY = Budget()


@dataclass(frozen=True, slots=True)
class Row:
    """One thing measured, and how many times it takes what the group's first row takes, ours."""

    group: str
    what: str
    unit: str
    p50: float
    p99: float | None = None
    mean: float | None = None
    """The median of the rounds' means."""
    ratio: float | None = None
    ratio_of: str = "p50"
    """What the ratio compares: the p50 of both, or the mean of both."""
    budget: Budget = ANY
    note: str = ""
    calls: int = 1
    """How many single measurements p50 and p99 are taken from."""
    rounds: list[float] = field(default_factory=list)
    """The p50 of each round: how steady the machine was."""
    failed: str = ""
    """Why there is no figure."""

    @property
    def met(self) -> bool | None:
        """Whether the budget was met; None where none is asked, or nothing was measured."""
        return None if self.failed else self.budget.met(self.p50, self.ratio)


def failure(group: str, what: str, error: BaseException, *, budget: Budget = ANY) -> Row:
    """Make the row of something that does not install, or does not run."""
    said = str(error).strip().splitlines() or [""]
    return Row(
        group, what, "", math.nan, budget=budget, failed=f"{type(error).__name__}: {said[0][:160]}"
    )
