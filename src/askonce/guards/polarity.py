"""Negation, opposites, and other small words that turn an answer round."""

from __future__ import annotations

from collections.abc import Iterable

from askonce.guards.difference import Difference, are_opposites
from askonce.guards.lists import Lists
from askonce.guards.said import PREPOSITIONS, Said, preposition

NEAR = 2
"""Content words without a partner, at most, beside which "not" is another question."""
_EXCLUDING = frozenset(["without", "no", "none", "nobody", "nothing"])
_PARTICLES = frozenset(["on", "off"])
"""Of "turn on" and the like: without a word behind them."""
_TAGS = frozenset(["or", "if", "why"])


def another_negation(difference: Difference) -> bool:
    """Say whether one text negates what the other asserts, and little else differs."""
    if difference.size > NEAR:
        return False
    old = _negated(difference.old, difference.lists)
    new = _negated(difference.new, difference.lists)
    if len(old) % 2 == len(new) % 2:
        return False
    shared = {at for at, _ in difference.pairs}
    others = {other for _, other in difference.pairs}
    return any(at in shared or at < 0 for at in old) or any(at in others or at < 0 for at in new)


def _negated(said: Said, lists: Lists) -> list[int]:
    """Return the places of what is negated, -1 for what is excluded by "without" or "no".

    "or not", "if not" and "why not?" negate nothing, nor does "Isn't it" ask for more than "Is it".
    """
    found = []
    for at, word in enumerate(said.low):
        short = word[-3:] == "n't"
        if short and said.begins[at]:
            continue
        if short or word in lists.negations:
            last = at + 1 == len(said.low) or said.begins[at + 1]
            if at and said.low[at - 1] in _TAGS and (last or said.low[at - 1] != "why"):
                continue
            found.append(-1 if word in _EXCLUDING else _next_content(said, at, lists))
    return found


def _next_content(said: Said, at: int, lists: Lists) -> int:
    for place in range(at + 1, min(at + 5, len(said.low))):
        if said.low[place] not in lists.function_words:
            return place
    return -1


def an_opposite(difference: Difference) -> bool:
    """Say whether a word of one text stands for its opposite in the other, and little else."""
    if difference.size > NEAR + 2:
        return False
    lists = difference.lists
    return _are_against(difference.words_gone, difference.words_come, lists)


def one_of_two(difference: Difference) -> bool:
    """Say whether one text asks for a thing and its opposite, and the other for one of them.

    "Best and worst films" and "worst films" are two questions, and so are "before and after the
    war" and "before the war".
    """
    if difference.size > NEAR:
        return False
    texts = (difference.old, difference.new)
    return any(
        (one in theirs.base) != (other in theirs.base)
        for mine, theirs in (texts, texts[::-1])
        for one, joint, other in zip(mine.base, mine.low[1:], mine.base[2:], strict=False)
        if joint == "and" and are_opposites(one, other, difference.lists)
    )


def a_small_opposite(difference: Difference) -> bool:
    """The same for function words (with and without, more and less), and little else differs."""
    if difference.size > NEAR:
        return False
    lists, gone, come = difference.lists, difference.small_gone, difference.small_come
    if not gone or not come:
        return False
    plain = [word for word in gone if word not in PREPOSITIONS or word in _PARTICLES]
    if _are_against(plain, come, lists):
        return True
    opposites = lists.opposites
    return any(
        after in opposites.get(before, ())
        for at, other in difference.pairs
        if (before := preposition(difference.old, at))
        != (after := preposition(difference.new, other))
    )


def _are_against(gone: Iterable[str], come: Iterable[str], lists: Lists) -> bool:
    come = list(come)
    return any(are_opposites(one, other, lists) for one in gone for other in come)


_HIS = frozenset("he him his himself".split())
_HER = frozenset("she her hers herself".split())


def another_person(difference: Difference) -> bool:
    """Say whether "his" stands for "her"; or "my" for "your", but not with "I" for "you"."""
    gone, come = set(difference.small_gone), set(difference.small_come)
    for mine, theirs in ((gone, come), (come, gone)):
        if not mine.isdisjoint(_HIS) and not theirs.isdisjoint(_HER):
            return True
        if "my" in mine and "your" in theirs and "i" not in mine and "you" not in theirs:
            return difference.size == 0
    return False
