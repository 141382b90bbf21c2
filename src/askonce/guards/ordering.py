"""Who does what to whom: the order of equal words, and the passive."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from askonce.guards.difference import Difference
from askonce.guards.said import Said, preposition

_BE = frozenset("is are was were be been being get got gets am".split())
NEAR = 1
"""Content words without a partner, at most, beside which another order is another question."""
BESIDE = 2
"""Words between which one stands beside another: names have two."""


def another_order(difference: Difference) -> bool:
    """Say whether the same words stand in other roles: "Alice likes Bob", "Bob likes Alice".

    That is so if three of them stand the other way round, as both change sides about the third; if
    two have exchanged their prepositions; or if no word at all is different but the order. A phrase
    that only moved ("in India, how ...") keeps its preposition, and its words are not looked at.
    """
    if difference.size > NEAR or not _is_moved(difference.pairs):
        return False
    old, new, lists = difference.old, difference.new, difference.lists
    if not lists.symmetric.isdisjoint(old.low) or _roles(difference) is True:
        return False
    marked = [
        (at, other, preposition(old, at), preposition(new, other)) for at, other in difference.pairs
    ]
    kept = [pair for pair in marked if not pair[2] or pair[2] != pair[3]]
    pairs = [(at, other) for at, other, _, _ in kept]
    if not _is_moved(pairs):
        return False
    if _are_three_turned(pairs) or _is_rearranged(difference):
        return True
    return any(
        one[1] > two[1] and one[2] == two[3] and one[3] == two[2] and one[2] != two[2]
        for place, one in enumerate(kept)
        for two in kept[place + 1 :]
    )


def _is_moved(pairs: Sequence[tuple[int, int]]) -> bool:
    return any(one[1] > two[1] for one, two in pairwise(pairs))


def _are_three_turned(pairs: Sequence[tuple[int, int]]) -> bool:
    """Say whether what stands close before and close behind a word have changed sides about it."""
    order = sorted(range(len(pairs)), key=lambda at: pairs[at][1])
    rank = {at: place for place, at in enumerate(order)}
    return any(
        0 < rank[at - 1] - rank[at] <= BESIDE and 0 < rank[at] - rank[at + 1] <= BESIDE
        for at in range(1, len(pairs) - 1)
    )


def _is_rearranged(difference: Difference) -> bool:
    """Say whether both texts have exactly the same words."""
    return not (difference.size or difference.small_gone or difference.small_come) and sorted(
        difference.old.low
    ) == sorted(difference.new.low)


# The passive


def another_agent(difference: Difference) -> bool:
    """Say whether one text has in the passive what the other says with other roles."""
    return difference.size <= NEAR and _roles(difference) is False


def _roles(difference: Difference) -> bool | None:
    """Say whether roles are equal where one text is in the passive, or None where neither is."""
    old, new, lists = difference.old, difference.new, difference.lists
    if ("by" in old.low) == ("by" in new.low):
        return None
    if "by" in old.low:
        passive, partner = old, dict(difference.pairs)
    else:
        passive = new
        partner = {other: at for at, other in difference.pairs}
    for by in _passives(passive, lists.participles):
        verb = partner.get(by - 1)
        if verb is None:
            continue
        agents = [partner[at] for at in range(by + 1, len(passive.low)) if at in partner][:1]
        patient = partner.get(_patient(passive, by - 1))
        if not agents:
            continue
        if agents[0] > verb and (patient is None or patient < verb):
            return False
        if patient is not None:
            return agents[0] < verb < patient
    return None


def _passives(said: Said, participles: frozenset[str]) -> list[int]:
    """Return the places of "by" behind a participle, with a form of "be" close before it."""
    return [
        at
        for at, word in enumerate(said.low)
        if word == "by"
        and at > 1
        and (said.low[at - 1].endswith("ed") or said.low[at - 1] in participles)
        and not _BE.isdisjoint(said.low[max(at - 5, 0) : at - 1])
    ]


def _patient(said: Said, verb: int) -> int:
    """Return the place of the word that something is done to, the next one before the verb."""
    for at in range(verb - 1, -1, -1):
        if said.low[at] not in _BE:
            return at
    return -1
