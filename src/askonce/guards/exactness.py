"""Which texts are matched only as they are written, whatever is near to them."""

from __future__ import annotations

import re
from itertools import pairwise

from askonce.guards.lists import Lists, shipped
from askonce.semantic import words as canonical_words

LONGEST = 60
"""Words. A longer text brings along what the question is about."""
MOST_CHARACTERS = 50 * LONGEST
"""What is longer is not even searched for code, which takes the square of its length."""
FIRST = 4
"""Words at the beginning that point outside the text: there is nothing in it yet to point at."""

_WORDS = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_QUOTED = re.compile(
    r"[\"\u201c\u201d\u201e\u00ab\u00bb][^\"\u201c\u201d\u00ab\u00bb]+[\"\u201c\u201d\u00ab\u00bb]"
    r"|(?:^|[\s(])'[^']+'(?=$|[\s).,?!])|\u2018[^\u2019]+\u2019(?!\w)"
)
_CODE = re.compile(
    r"```|`|^[^\S\n]*(?:def|class|import|from|function|SELECT|public|#include|var|let|const)\b.*[({;*]"
    r"|[{};][^\S\n]*$|=>|->|::|==|!=|&&|\|\||</?[a-z][\w-]*\s*/?>|\w\(\s*[\w\"'].*\)\s*[;:{]"
    r"|\w\[\w+\]|\$\{|\\[a-z]+\{",
    re.MULTILINE,
)
_AGAIN = frozenset(
    "again another continue more next yes no ok okay thanks sure why really and go on random "
    "randomly something else different surprise".split()
)


def exact_only(text: str) -> str | None:
    """Return why a text is matched only as it is written, or None."""
    if len(text) > MOST_CHARACTERS:
        return "long"
    if _CODE.search(text):
        return "code"
    found = _WORDS.findall(text.lower())
    if len(found) > LONGEST:
        return "long"
    if len(text.strip().splitlines()) > 1:
        return "lines"
    return _telling(text, found, shipped())


def _telling(text: str, found: list[str], lists: Lists) -> str | None:
    """Return what the words of a text say against another wording."""
    said = set(found)
    if not said.isdisjoint(lists.text_operations) or _is_worked_upon(said, lists):
        return "text"
    if _QUOTED.search(text):
        return "quoted"
    if not said.isdisjoint(lists.fresh) or _is_relative(found):
        return "fresh"
    if not lists.pointing.isdisjoint(found[:FIRST]):
        return "pointing"
    return "bare" if said <= _AGAIN or said <= lists.function_words else None


def _is_worked_upon(said: set[str], lists: Lists) -> bool:
    return not said.isdisjoint(lists.operations) and not said.isdisjoint(lists.worked_upon)


def _is_relative(found: list[str]) -> bool:
    """Say whether "next week" or "this year" is in it."""
    words = canonical_words.shipped()
    relative = words.relative | {"this", "these"}
    return any(one in relative and other in words.periods for one, other in pairwise(found))
