"""One word replaced by another, or one word more that says which kind."""

from __future__ import annotations

from askonce.guards import asking
from askonce.guards.difference import Difference
from askonce.guards.said import Said

_ARTICLES = frozenset(["a", "an"])
_NO_KIND = frozenset("good great better nice proper successful".split())


def one_word_replaced(difference: Difference) -> bool:
    """Say whether all content is equal but for one word on each side that is no known synonym."""
    return len(difference.gone) == 1 and len(difference.come) == 1


def another_kind(difference: Difference) -> bool:
    """Say whether all is equal but that "a job" is "a government job" in one text."""
    if difference.size != 1:
        return False
    if difference.gone:
        said, other, at = difference.old, difference.new, difference.gone[0]
        partners = dict(difference.pairs)
    else:
        said, other, at = difference.new, difference.old, difference.come[0]
        partners = {place: mine for mine, place in difference.pairs}
    its = partners.get(at + 1, 0)
    return (
        at > 0
        and (said.base[at] not in _NO_KIND or asking.kinds(said, difference.lists) == {"yes"})
        and said.low[at - 1] in _ARTICLES
        and its > 0
        and other.low[its - 1] in _ARTICLES
    )


def another_choice(difference: Difference) -> bool:
    """Say whether both texts give a choice, "lion or cheetah" and "cheetah or leopard"."""
    gone, come = set(difference.words_gone), set(difference.words_come)
    return any(
        len(mine & theirs) == 1 and mine - theirs <= gone and theirs - mine <= come
        for mine in _choices(difference.old)
        for theirs in _choices(difference.new)
    )


def _choices(said: Said) -> list[set[str]]:
    found = []
    for at, word in enumerate(said.low):
        behind = at + 1 + (said.low[at + 1 : at + 2] in (["a"], ["an"], ["the"]))
        if word == "or" and at and behind < len(said.low):
            found.append({said.base[at - 1], said.base[behind]})
    return found
