"""One word replaced by another, or one word more that says which kind."""

from __future__ import annotations

from askonce.guards import asking
from askonce.guards.difference import Difference

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
