"""Names of people, places and things, and what is written exactly: quotations, code, paths."""

from __future__ import annotations

import re

from askonce.guards.difference import Difference
from askonce.guards.said import Said

_EXACT = re.compile(
    r"`[^`]*`"  # a code span
    r"|\w+@[\w.]+|https?://\S+|(?<![\w.])[./~]?/[\w./-]+"  # addresses, paths
    r"|(?<!\w)--?[a-z][\w-]*"  # flags
    r"|\b[a-z]+[A-Z]\w*|\w*_\w+|\w+(?:\.[A-Za-z_]\w+)+|\w+\(\)"  # identifiers
    r"|\b[A-Za-z](?:\+\+|#)"
)
_ODD = re.compile(r"[`@/_#+(-]|\.\w|[a-z][A-Z]")
"""Without one of these there is no such part."""
_SEPARATING = re.compile(r"[\s.,?!-]+")

_LONGEST_ACRONYM = 6
_WORDS = frozenset(["us", "it", "who", "aids"])
"""Words that are acronyms in capitals."""

_WITHIN = frozenset("da de del der di al bin ibn la le van von".split())
"""Small words inside names."""


def another_name(difference: Difference) -> bool:
    """Say whether each text has a name that the other lacks."""
    return any(_is_name(difference, difference.old, at) for at in difference.gone) and any(
        _is_name(difference, difference.new, at) for at in difference.come
    )


def another_case(difference: Difference) -> bool:
    """Say whether an acronym in one text is a word in the other: RAG and a rag, US and us."""
    old, new = difference.old, difference.new
    return _spelt_out(old, new) or _spelt_out(new, old)


def _spelt_out(said: Said, other: Said) -> bool:
    short = {
        word.lower() for word in said.raw if word.isupper() and 2 <= len(word) <= _LONGEST_ACRONYM
    }
    # "the usa" is the USA all the same; what has another article, or is a small word, is a word.
    return any(
        word in short and (word in _WORDS or (at > 0 and other.low[at - 1] in ("a", "an")))
        for at, word in enumerate(other.raw)
    )


def one_more_name(difference: Difference) -> bool:
    """Say whether one text has a name more and nothing else is different."""
    if difference.gone and difference.come:
        return False
    said = difference.old if difference.gone else difference.new
    left = difference.gone or difference.come
    return len(left) == 1 and any(
        _is_name(difference, said, at) and not _is_part(said, at) for at in left
    )


def _is_part(said: Said, at: int) -> bool:
    """Say whether a word stands beside a name that both texts have: "Donald" in "Donald Trump"."""
    beside = [place for place in (at - 1, at + 1) if 0 <= place < len(said.raw)]
    return any(said.raw[place][0].isupper() and not said.begins[place] for place in beside)


def _is_name(difference: Difference, said: Said, at: int) -> bool:
    raw = said.raw[at]
    lists = difference.lists
    if said.low[at] in lists.places:
        return True
    if said.base[at] in lists.units or said.low[at] in lists.magnitudes:
        return False
    if said.titled or not raw[0].isupper():
        return False
    if not said.begins[at]:
        return True
    behind = said.raw[at + 1] if at + 1 < len(said.raw) else ""
    return behind[:1].isupper() or behind in _WITHIN


def another_exact_part(difference: Difference) -> bool:
    """Say whether quotations, code, paths or identifiers are not the same in both texts."""
    if not (_ODD.search(difference.old.text) or _ODD.search(difference.new.text)):
        return False
    old, new = _squeezed(difference.old.text), _squeezed(difference.new.text)
    return any(part not in new for part in _exact_parts(difference.old.text)) or any(
        part not in old for part in _exact_parts(difference.new.text)
    )


def _exact_parts(text: str) -> set[str]:
    return {_squeezed(found[0]) for found in _EXACT.finditer(text)}


def _squeezed(text: str) -> str:
    """Return a text in lower case without what separates: "B. Tech" is "b.tech"."""
    return _SEPARATING.sub("", text.lower())


def another_script(difference: Difference) -> bool:
    """Say whether the words with letters beyond ASCII are not the same in both texts."""
    if difference.old.text.isascii() and difference.new.text.isascii():
        return False
    return _foreign(difference.old) != _foreign(difference.new)


def _foreign(said: Said) -> set[str]:
    return {
        word
        for word in said.low
        if not word.isascii() and word[0].isalpha() and "\u2019" not in word
    }
