"""Measured calls, line by line: what the demo shows."""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from askonce.cache import Cache
from askonce.commands.amounts import span
from askonce.commands.terminal import FAINT, GREEN, YELLOW, padded, painted, say
from askonce.errors import AskonceError
from askonce.model import Outcome

_COLUMNS = (27, 21, 7, 8, 9)
"""With two blanks between them these are 80, what the narrowest terminals have."""


class WrongAnswerError(AskonceError):
    """A hit was not the answer that was paid for. It is a bug: please report it."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer as its caller sees it."""

    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Step:
    """Seconds that a call took, what it answered, and what the cache says of it."""

    seconds: float
    said: Said
    outcomes: Sequence[Outcome]


def measure(cache: Cache, call: Callable[[], Said]) -> Step:
    """Make a call and measure it."""
    with cache.recording() as outcomes:
        began = time.perf_counter()
        said = call()
        return Step(time.perf_counter() - began, said, outcomes)


async def measure_async(cache: Cache, call: Callable[[], Awaitable[Said]]) -> Step:
    """Make a call from a task and measure it."""
    with cache.recording() as outcomes:
        began = time.perf_counter()
        said = await call()
        return Step(time.perf_counter() - began, said, outcomes)


@dataclass(slots=True)
class Table:
    """Prints a line for each step, and adds up what they made, saved and compared.

    `upstream_calls` counts the calls that have arrived upstream since the start, where somebody
    there counts; else the cache's own word is taken.
    """

    upstream_calls: Callable[[], int] | None
    made: int = 0
    saved: int = 0
    tokens: int = 0
    seconds: float = 0.0
    compared: int = 0
    _arrived: int = 0

    def header(self) -> None:
        """Print the names of the columns."""
        _print(("WHAT", "OUTCOME", "TIME", "UPSTREAM", "FASTER"))

    def add(self, what: str, step: Step, miss: Step | None = None) -> Step:
        """Print a step and add it up. `miss` is the same call as it was paid for.

        Raises WrongAnswerError where the two have different answers.
        """
        if miss is not None:
            if step.said != miss.said:
                raise WrongAnswerError(f"{what.strip()}: the answer is not the one paid for")
            self.seconds += miss.seconds - step.seconds
            self.compared += 1
        calls = self._new_calls(step)
        hits = [outcome for outcome in step.outcomes if outcome.hit]
        self.made += calls
        self.saved += len(hits)
        self.tokens += sum(outcome.usage.get("total", 0) for outcome in hits)
        faster = f"{miss.seconds / step.seconds:,.0f} x" if miss is not None else ""
        _print((what, _outcome(step.outcomes), span(step.seconds), str(calls), faster))
        for outcome in step.outcomes:
            if outcome.kind == "bypass":
                say(painted(f"    {outcome.reason}", FAINT))
        return step

    def _new_calls(self, step: Step) -> int:
        if self.upstream_calls is None:
            return sum(not outcome.hit for outcome in step.outcomes)
        before, self._arrived = self._arrived, self.upstream_calls()
        return self._arrived - before

    def repeat(self, what: str, times: int, call: Callable[[], Said], miss: Step) -> None:
        """Print the median of many hits. They are left out of the sums."""
        taken = []
        for _ in range(times):
            began = time.perf_counter()
            call()
            taken.append(time.perf_counter() - began)
        median = statistics.median(taken)
        _print((what, "hit", span(median), "0", f"{miss.seconds / median:,.0f} x"))


def _outcome(outcomes: Sequence[Outcome]) -> str:
    if len(outcomes) == 1:
        return str(outcomes[0].kind)
    counts = Counter(outcome.kind for outcome in outcomes)
    return ", ".join(f"{count} {kind}" for kind, count in reversed(counts.most_common()))


def _print(cells: Sequence[str]) -> None:
    what, outcome, *numbers = [
        padded(cell, room, right=place > 1)
        for place, (cell, room) in enumerate(zip(cells, _COLUMNS, strict=True))
    ]
    colour = {"hit": GREEN, "bypass": YELLOW}.get(outcome.strip())
    shown = outcome if colour is None else painted(outcome, colour)
    say("  ".join((what, shown, *numbers)).rstrip())
    # Each line is shown when it was measured, also in a pipe.
    sys.stdout.flush()
