"""Whether a thing is, was, will be, may be or should be."""

from __future__ import annotations

from askonce.guards.difference import Difference
from askonce.guards.said import Said

_FUTURE = frozenset(["will", "shall", "going"])
_PAST = frozenset(["was", "were", "did", "had"])
_DUTY = frozenset(["should", "must", "ought"])
_QUESTIONS_OF_BEING = (["is"], ["are"], ["am"])
_TOGETHER = frozenset(["both", "simultaneously", "together"])


def used_to_be(difference: Difference) -> bool:
    """Say whether one text asks what used to be."""
    return difference.size <= 1 and _used_to(difference.old) != _used_to(difference.new)


def _used_to(said: Said) -> bool:
    return any(
        one in ("use", "used")
        and other == "to"
        and behind in ("be", "have", "do", "go", "live", "work")
        for one, other, behind in zip(said.low, said.low[1:], said.low[2:], strict=False)
    ) or not frozenset(("former", "formerly", "previously", "ex")).isdisjoint(said.low)


def another_tense(difference: Difference) -> bool:
    """Say whether what was stands for what will be ("who won", "who will win"), and no more."""
    if difference.size:
        return False
    old, new = difference.old, difference.new
    comes_old, comes_new = not _FUTURE.isdisjoint(old.low), not _FUTURE.isdisjoint(new.low)
    if comes_old == comes_new:
        return False
    past, at = (old, 0) if comes_new else (new, 1)
    small = difference.small_gone if comes_new else difference.small_come
    return not _PAST.isdisjoint(small) or any(
        _is_past(past.low[pair[at]], difference)
        for pair in difference.pairs
        if old.low[pair[0]] != new.low[pair[1]]
    )


def another_mode(difference: Difference) -> bool:
    """Say whether what is, or should be, stands for what will be."""
    old, new = difference.old, difference.new
    comes_old, comes_new = not _FUTURE.isdisjoint(old.low), not _FUTURE.isdisjoint(new.low)
    if comes_old == comes_new:
        return False
    present = new if comes_old else old
    coming = old if comes_old else new
    duty = not _DUTY.isdisjoint(present.low) and "shall" not in coming.low
    return duty or (difference.size == 0 and present.low[:1] in _QUESTIONS_OF_BEING)


def what_if(difference: Difference) -> bool:
    """Say whether what somebody did stands for what they would do, and no more."""
    old, new = difference.old.low, difference.new.low
    return difference.size == 0 and any(
        "did" in mine and "would" in theirs and "did" not in theirs and "would" not in mine
        for mine, theirs in ((old, new), (new, old))
    )


def _is_past(word: str, difference: Difference) -> bool:
    return word.endswith("ed") or word in difference.lists.irregular


def together_or_either(difference: Difference) -> bool:
    """Say whether one text asks for both of what the other gives a choice of."""
    old, new = difference.old.low, difference.new.low
    return ("or" in old) != ("or" in new) and any(
        not _TOGETHER.isdisjoint(mine) and "or" in theirs
        for mine, theirs in ((old, new), (new, old))
    )
