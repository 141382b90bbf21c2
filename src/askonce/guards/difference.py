"""What is left of two texts without the words that they share or that mean the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from askonce.guards.lists import Lists
from askonce.guards.said import Said, roots

_ENDINGS = frozenset(
    "n an ian al ial ally ly er or ist y ive ful ness able ment ation ion ition e ed ing ity ies "
    "ic ical ish ese ship iness age ied nical i d r m t sm st ance ence ant ent".split()
)
_STEM = 4
SHORT = 28
"""Words of a text in which every name and number counts."""
MOST = 150
"""Pairs of words that are compared: texts with more that differs are far apart."""
_MISSPELLED = 6
"""Letters of the shortest word that is taken for misspelled by one letter."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Places of words with no partner in the other text.

    `gone` and `come` are of content, without fillers and numbers; `small_gone` and `small_come`
    are bases of function words, by their number.
    """

    lists: Lists
    old: Said
    new: Said
    gone: Sequence[int]
    come: Sequence[int]
    small_gone: Sequence[str]
    small_come: Sequence[str]
    pairs: Sequence[tuple[int, int]]
    """Places of one content word in both texts, in the order of the old one."""

    @property
    def size(self) -> int:
        """How many content words have no partner."""
        return len(self.gone) + len(self.come)

    @property
    def is_close(self) -> bool:
        """Whether a name or a number stands out: not in a story told in other words."""
        return self.size <= len(self.pairs) or max(len(self.old.low), len(self.new.low)) <= SHORT

    @property
    def words_gone(self) -> list[str]:
        return [self.old.base[at] for at in self.gone]

    @property
    def words_come(self) -> list[str]:
        return [self.new.base[at] for at in self.come]


def between(old: Said, new: Said, lists: Lists) -> Difference:
    """Return the difference of two texts."""
    waiting: dict[str, list[int]] = {}
    for at, word in enumerate(new.base):
        waiting.setdefault(word, []).append(at)
    gone: list[int] = []
    small_gone: list[str] = []
    pairs: list[tuple[int, int]] = []
    function_words = lists.function_words
    for at, word in enumerate(old.base):
        partners = waiting.get(word)
        small = word in function_words or old.low[at] in function_words or word[-3:] == "n't"
        if partners:
            other = partners.pop(0)
            if not small:
                pairs.append((at, other))
        elif small:
            small_gone.append(word)
        else:
            gone.append(at)
    come: list[int] = []
    small_come: list[str] = []
    for word, places in waiting.items():
        for at in places:
            if word in function_words or new.low[at] in function_words or word[-3:] == "n't":
                small_come.append(word)
            else:
                come.append(at)
    gone = [
        at for at in gone if old.base[at][0].isalpha() and old.base[at] not in lists.number_words
    ]
    come = [
        at for at in come if new.base[at][0].isalpha() and new.base[at] not in lists.number_words
    ]
    if gone and come:
        pairs += _pair((old, new), gone, come, lists)
        _join(old, new, gone, come)
        _join(new, old, come, gone)
        _spell_out(old, new, gone, come)
        _spell_out(new, old, come, gone)
    fillers = lists.fillers
    gone = [at for at in gone if old.base[at] not in fillers and old.low[at] not in fillers]
    come = [at for at in come if new.base[at] not in fillers and new.low[at] not in fillers]
    pairs.sort()
    return Difference(lists, old, new, gone, sorted(come), small_gone, small_come, pairs)


def _pair(
    texts: tuple[Said, Said], gone: list[int], come: list[int], lists: Lists
) -> list[tuple[int, int]]:
    """Take out words that are forms of one, or mean the same, and return their places."""
    if len(gone) * len(come) > MOST:
        return []
    old, new = texts
    pairs = []
    roots_come = {other: _roots(new.base[other], lists) for other in come}
    for at in list(gone):
        word, mine = old.base[at], _roots(old.base[at], lists)
        capital = old.raw[at][0].isupper()
        for other in come:
            theirs = new.base[other]
            named = capital and new.raw[other][0].isupper()
            if _are_one(word, mine, theirs, roots_come[other], lists, spelled_alike=named):
                gone.remove(at)
                come.remove(other)
                pairs.append((at, other))
                break
    return pairs


def _join(old: Said, new: Said, gone: list[int], come: list[int]) -> None:
    """Take out "face book" for "facebook"."""
    for at in list(gone):
        if at + 1 < len(old.base) and at in gone:
            joined = old.low[at] + old.low[at + 1]
            match = next((other for other in come if new.low[other] == joined), None)
            if match is not None:
                come.remove(match)
                gone.remove(at)
                if at + 1 in gone:
                    gone.remove(at + 1)


def _spell_out(old: Said, new: Said, gone: list[int], come: list[int]) -> None:
    """Take out "Machine Learning" for "ML"."""
    for other in list(come):
        acronym = new.low[other]
        if not 2 <= len(acronym) <= 6:
            continue
        for at in gone:
            run = range(at, at + len(acronym))
            if run[-1] < len(old.low) and all(
                old.low[place][0] == letter for place, letter in zip(run, acronym, strict=True)
            ):
                come.remove(other)
                for place in run:
                    if place in gone:
                        gone.remove(place)
                break


def are_opposites(one: str, other: str, lists: Lists) -> bool:
    """Say whether two words, in any of their forms, are opposites."""
    opposites = lists.opposites
    theirs = None
    for root in _roots(one, lists):
        if root in opposites:
            theirs = theirs or _roots(other, lists)
            if not opposites[root].isdisjoint(theirs):
                return True
    return False


def _are_one(
    one: str, mine: set[str], other: str, theirs: set[str], lists: Lists, *, spelled_alike: bool
) -> bool:
    """Say whether two words are forms or spellings of one, or mean the same in a question.

    Names are to be `spelled_alike`: Christian is not Christina misspelled.
    """
    if not mine.isdisjoint(theirs):
        return True
    alike = one[:_STEM] == other[:_STEM]
    synonyms = lists.synonyms
    groups = {group for root in mine for group in synonyms.get(root, ())}
    same = bool(groups) and any(not groups.isdisjoint(synonyms.get(root, ())) for root in theirs)
    if not same and not (alike and _is_derived(one, other)):
        same = one[0] == other[0] and not spelled_alike and _is_misspelled(one, other, lists)
    elif not same:
        same = True
    if not same or other in lists.confusable.get(one, ()):
        return False
    return not are_opposites(one, other, lists)


def _roots(word: str, lists: Lists) -> set[str]:
    found = roots(word)
    if word in lists.irregular:
        found.add(lists.irregular[word])
    return found


def _is_derived(one: str, other: str) -> bool:
    if one.endswith("ily") or other.endswith("ily"):
        one, other = one.replace("ily", "y"), other.replace("ily", "y")
        if one == other:
            return True
    common = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        common += 1
    if common < _STEM:
        return False
    return all(rest in _ENDINGS or not rest for rest in (one[common:], other[common:]))


def _is_misspelled(one: str, other: str, lists: Lists) -> bool:
    """Say whether two long words differ by one letter, or by the order of two."""
    if abs(len(one) - len(other)) > 1 or min(len(one), len(other)) < _MISSPELLED:
        return False
    if one[0] != other[0] or (one in lists.places and other in lists.places):
        return False
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    if len(one) == len(other):
        swapped = one[:at] + one[at + 1 : at + 2] + one[at : at + 1] + one[at + 2 :]
        return one[at + 1 :] == other[at + 1 :] or swapped == other
    if len(one) > len(other):
        return one[at + 1 :] == other[at:]
    return one[at:] == other[at + 1 :]
