"""Numbers, versions, dates, amounts of money, and their units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from askonce.guards.difference import Difference
from askonce.guards.lists import Lists
from askonce.guards.said import Said

_NUMBERED = frozenset(
    "type war part phase class chapter volume act book title section article grade tier level "
    "stage schedule series season episode".split()
)
"""Behind one of these "I", "V" and "X" are numbers."""
_ROMAN_LETTERS = {"I": "1", "V": "5", "X": "10"}
_ROMAN = {"II": "2", "III": "3", "IV": "4", "VI": "6", "VII": "7", "VIII": "8", "IX": "9"}
_ORDINALS = frozenset(["st", "nd", "rd", "th"])
_MONEY = frozenset("$€£¥₹")
_ALSO_TIME = frozenset(["a", "the", "my", "our"])
NEAR = 1
"""Content words without a partner, at most, beside which one number more is another question."""


def another_number(difference: Difference) -> bool:
    """Say whether each text has a number that the other lacks, or one number has another unit."""
    if not difference.is_close:
        return False
    old = _quantities(difference.old, difference.lists)
    new = _quantities(difference.new, difference.lists)
    if not old or not new:
        return False
    values_old, values_new = Counter(value for value, _ in old), Counter(value for value, _ in new)
    if values_old - values_new and values_new - values_old:
        return True
    units_old = {pair for pair in old if pair[1]}
    units_new = {pair for pair in new if pair[1]}
    return any(
        value == other and unit != its_unit
        for value, unit in units_old - units_new
        for other, its_unit in units_new - units_old
    )


def one_more_number(difference: Difference) -> bool:
    """Say whether one text has a number more and little else is different."""
    if difference.size > NEAR:
        return False
    old = Counter(value for value, _ in _quantities(difference.old, difference.lists))
    new = Counter(value for value, _ in _quantities(difference.new, difference.lists))
    return any(value != "1" for value in (old - new) + (new - old))


def _quantities(said: Said, lists: Lists) -> list[tuple[str, str]]:
    return list(_read(said, lists))


def _read(said: Said, lists: Lists) -> Iterator[tuple[str, str]]:
    low, base = said.low, said.base
    for at, word in enumerate(low):
        value = _value(said, at, lists)
        if value is None:
            continue
        behind = at + 1
        if behind < len(low) and low[behind] in _ORDINALS:
            behind += 1
        if behind < len(low) and low[behind] in lists.magnitudes and word[-1].isdigit():
            value = _product(value, lists.magnitudes[low[behind]])
            behind += 1
        unit = lists.units.get(base[behind], "") if behind < len(low) else ""
        if at and low[at - 1] in _MONEY:
            unit = lists.units.get(low[at - 1], unit)
        yield value, unit


def _value(said: Said, at: int, lists: Lists) -> str | None:
    word = said.low[at]
    if word[-1].isdigit() or word[-1] == ",":
        return _plain(word)
    if said.raw[at] in _ROMAN_LETTERS and at and said.base[at - 1] in _NUMBERED:
        return _ROMAN_LETTERS[said.raw[at]]
    if word in lists.number_words:
        return lists.number_words[word]
    if word == "second" and at and said.low[at - 1] in _ALSO_TIME:
        return "2"
    if word == "one" and at + 1 < len(said.low) and said.base[at + 1] in lists.units:
        return "1"
    return _ROMAN.get(said.raw[at])


def _plain(number: str) -> str:
    number = number.replace(",", "").replace("\u2212", "-")
    if number[0] == "-":
        return "-" + _plain(number[1:])
    if number[0] == ".":
        number = "0" + number
    if number.count(".") == 1 and not number.partition(".")[2].strip("0"):
        return number.partition(".")[0]
    return number


def _product(value: str, times: int) -> str:
    try:
        return f"{float(value) * times:g}" if "." in value else str(int(value) * times)
    except ValueError:
        return value
