"""One text asks all that the other asks, and one thing more."""

from __future__ import annotations

from collections.abc import Sequence

from askonce.guards.difference import Difference
from askonce.guards.said import Said

_WH = frozenset("what which who whom whose when where how".split())
"""Without "why": "and why?" asks for nothing that a good answer leaves out."""
MOST = 4
"""Content words without a partner, at most: with more it is another story."""


def one_thing_more(difference: Difference) -> bool:
    """Say whether one text has one more question, or one more thing joined by "and".

    "What are proteins?" and "What are proteins and what do they do?": the answer to the first
    leaves out half of the second. Nothing else may differ.
    """
    for mine, theirs, left, others in (
        (difference.old, difference.new, difference.gone, difference.come),
        (difference.new, difference.old, difference.come, difference.gone),
    ):
        if others or len(left) > MOST:
            continue
        if _asks_more(mine, theirs, left, difference) or _joins_more(mine, theirs, left):
            return True
    return False


def _asks_more(mine: Said, theirs: Said, left: Sequence[int], difference: Difference) -> bool:
    """Say whether one has a further question, and a word that the other has not."""
    asks = _WH | difference.lists.asks_yes_or_no
    starts = _questions(mine, asks)
    if len(starts) <= len(_questions(theirs, asks)):
        return False
    if left:
        return True
    # Of function words alone only "and what do they do", not "and how?".
    return any(mine.low[at - 1] == "and" and at + 2 < len(mine.low) for at in starts if at)


def _questions(said: Said, asks: frozenset[str]) -> list[int]:
    """Return where a sentence, or what is joined by "and", begins with a word that asks."""
    return [
        at
        for at, word in enumerate(said.low)
        if word in asks and (said.begins[at] or (word in _WH and said.low[at - 1] == "and"))
    ]


def _joins_more(mine: Said, theirs: Said, left: Sequence[int]) -> bool:
    """Say whether a word stands beside "and" that the other text has neither of."""
    low = mine.low
    if low.count("and") <= theirs.low.count("and"):
        return False
    return any(
        (at > 0 and low[at - 1] == "and") or (at + 1 < len(low) and low[at + 1] == "and")
        for at in left
    )
