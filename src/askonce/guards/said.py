"""Reads a text as words, with what the guards ask of each. Pure, and linear in the text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from askonce.guards.lists import Lists, singular

_TOKEN = re.compile(
    r"(?:(?<![^\s(=])[-\u2212])?\.?\d[\d,]*(?:\.\d+)*"  # 5, -5, .5, 2,000, 1.2.3
    r"|[^\W\d_]+(?:['\u2019][^\W\d_]+)*[+#]*"  # don't, C++, C#
    r"|[$€£¥₹%°]|\n"
)
_ENDS = frozenset(".?!;:\n")

_IN_TITLES = frozenset(
    "is are was were do does did can could should would will have has you your my how what why "
    "when if get make use be".split()
)
"""Capitalised inside a sentence only where every word is."""


@dataclass(frozen=True, slots=True)
class Said:
    """The words of a text, in parallel lists. Numbers and signs of money count as words."""

    text: str
    raw: Sequence[str]
    low: Sequence[str]
    """In lower case, without `'s`, and "n't" for what ends in it."""
    base: Sequence[str]
    """Singular, or the infinitive of a verb without rule; `low` for what is no word."""
    begins: Sequence[bool]
    """Whether a sentence begins here."""
    titled: bool
    """Most words are capitalised, so that a capital says nothing."""


def read(text: str, lists: Lists) -> Said:
    """Read a text. Defined for every str."""
    raw: list[str] = []
    low: list[str] = []
    base: list[str] = []
    begins: list[bool] = []
    irregular, units = lists.irregular, lists.units
    end = titled = plain = 0
    for found in _TOKEN.finditer(text):
        token = found[0]
        begins.append(not end or not _ENDS.isdisjoint(text[end : found.start()]))
        end = found.end()
        word = token.lower()
        if "'" in word or "\u2019" in word:
            word = _unshortened(word.replace("\u2019", "'"))
        stem = irregular.get(word) or singular(word)
        if stem in units and low and (low[-1][-1].isdigit() or low[-1] in lists.number_words):
            stem = units[stem]  # "5 km" and "5 kilometers"
        raw.append(token)
        low.append(word)
        base.append(stem)
        if word in _IN_TITLES and not begins[-1]:
            if token[0].isupper():
                titled += 1
            else:
                plain += 1
    return Said(text, raw, low, base, begins, titled > plain)


def _unshortened(word: str) -> str:
    if word.endswith("n't"):
        return word
    stem, _, ending = word.rpartition("'")
    return stem if ending in ("s", "re", "ve", "ll", "d", "m", "") else word


def roots(word: str) -> set[str]:
    """Return what a word may be a form of: "making" of "make", "planned" of "plan"."""
    found = {word}
    if word.endswith("ing") and len(word) > 5:
        stem = word[:-3]
    elif word.endswith("ied") and len(word) > 4:
        return {word, word[:-3] + "y"}
    elif (word.endswith("ed") and len(word) > 4) or (word.endswith("er") and len(word) > 5):
        stem = word[:-2]
    else:
        return found
    found |= {stem, stem + "e"}
    if len(stem) > 2 and stem[-1] == stem[-2]:
        found.add(stem[:-1])
    return found


PREPOSITIONS = frozenset(
    "in on at of for from to with by about into onto during since until without through over "
    "under as per via against after before than inside outside out off".split()
)
_BETWEEN = frozenset("a an the my your their his her our its this that some any".split())


def preposition(said: Said, at: int) -> str:
    """Return the preposition that a word stands under, "of" for "X's", or "" for none."""
    if said.raw[at][-2:] in ("'s", "\u2019s"):
        return "of"
    for place in range(at - 1, max(at - 4, -1), -1):
        word = said.low[place]
        if word in PREPOSITIONS:
            return word
        if word not in _BETWEEN and not said.raw[place][0].isupper():
            return ""
    return ""
