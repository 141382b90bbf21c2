"""What acronyms stand for by the word of a text itself.

Pairs are found as Schwartz and Hearst do, "A Simple Algorithm for Identifying Abbreviation
Definitions in Biomedical Text", 2003, and in "X stands for", "short for", "X, or".
"""

from __future__ import annotations

import re

from msgspec import Struct


class Definition(Struct, frozen=True, gc=False):
    """An acronym as it is written, and what it stands for in plain lower case."""

    acronym: str
    long: str


_INSIDE = re.compile(r"\(([^()]{2,80})\)")
_MARKUP = re.compile(r"[*_`]{1,3}")
_SHORT = r"([A-Z][A-Za-z0-9&/-]{1,9})"
_CALLED = (
    r"(?:or|often called|also called|usually called|commonly called|also known as|commonly known as"
    r"|often known as|better known as|known as|(?:often )?abbreviated(?: as| to)?"
    r"|usually abbreviated(?: as| to)?|commonly abbreviated(?: as| to)?|often shortened to"
    r"|shortened to|usually shortened to|generally called|usually just|often just|or simply"
    r"|commonly referred to as|often referred to as|referred to as)"
)
_BEHIND = re.compile(rf"[,(\u2013\u2014-]\s*(?:which is )?{_CALLED}\s+(?:simply |just )?{_SHORT}\b")
_FOR_SHORT = re.compile(rf"[,(\u2013\u2014-]\s*{_SHORT} for short\b")
_STANDS_FOR = re.compile(
    rf"\b{_SHORT}(?:,| is| \(|:)?\s*(?:stands for|which stands for|standing for|short for"
    r"|is short for|an? (?:acronym|abbreviation) (?:for|of)|the (?:acronym|abbreviation) (?:for|of)"
    r"|an initialism (?:for|of))\s+"
)
_FORM = re.compile(r"[\w'\u2019-]+(?:[ /][\w'\u2019-]+){0,9}")
_ARTICLE = re.compile(r"^(?:an?|the)\s+", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
_LONGEST = 10
"""Letters of an acronym, at most."""


def definitions(question: str, answer: str) -> frozenset[Definition]:
    """Return what acronyms stand for by the word of this question or this answer."""
    found: set[Definition] = set()
    for text in (question, answer):
        found |= _stated(_MARKUP.sub("", text))
    return frozenset(found)


def _stated(text: str) -> set[Definition]:
    found: set[Definition | None] = set()
    for inside in _INSIDE.finditer(text):
        before, within = text[: inside.start()].rstrip(), inside[1]
        first = re.split(r"[;,]", within)[0].strip()
        found.add(_before(first, before))
        last = before.rpartition(" ")[2].strip("\"'")
        if _is_short(last):
            found.add(_behind(last, within))
    for pattern in (_BEHIND, _FOR_SHORT):
        for match in pattern.finditer(text):
            found.add(_before(match[1], text[: match.start()].rstrip()))
    for match in _STANDS_FOR.finditer(text):
        form = _FORM.match(text, match.end())
        if form is not None:
            found.add(_behind(match[1], form[0]))
    return {one for one in found if one is not None}


def _is_short(word: str) -> bool:
    """Say whether a word is written as an acronym is: two capitals at least, and no long word."""
    capitals = sum(letter.isupper() for letter in word)
    return 1 < len(word) <= _LONGEST and capitals > 1 and " " not in word


def _before(short: str, text: str) -> Definition | None:
    """Find the long form that ends where a text ends."""
    short = short.strip("\"'\u201c\u201d")
    if not _is_short(short):
        return None
    acronym = singular(short)
    sentence = re.split(r"[.:;!?\n,(]", text)[-1]
    parts = list(_WORD.finditer(sentence))[-min(len(acronym) + 5, len(acronym) * 2) :]
    if not parts:
        return None
    candidate = sentence[parts[0].start() : parts[-1].end()]
    long = _shortest(acronym, candidate)
    return None if long is None else Definition(acronym, plain(long))


def _behind(short: str, text: str) -> Definition | None:
    """Find the long form that begins where a text begins: by first letters, else by inner ones."""
    acronym = singular(short)
    text = _ARTICLE.sub("", text.strip().strip("\"'\u201c\u201d"))
    parts = list(_WORD.finditer(text))
    forms = [
        text[: parts[count - 1].end()] for count in range(2, min(len(parts), len(acronym) + 3) + 1)
    ]
    for fits in (_begins, spells):
        found = next((form for form in forms if fits(acronym, form)), None)
        if found is not None:
            return Definition(acronym, plain(found))
    return None


def singular(short: str) -> str:
    return short[:-1] if short.endswith("s") and short[:-1].isupper() else short


def _shortest(acronym: str, candidate: str) -> str | None:
    """Return the shortest end of a text that spells an acronym: the letters from right to left.

    The first letter begins a word; the others may be inside one (Schwartz and Hearst).
    """
    at = len(candidate)
    for place in range(len(acronym) - 1, -1, -1):
        letter = acronym[place].lower()
        if not letter.isalnum():
            continue
        at -= 1
        while at >= 0 and (
            candidate[at].lower() != letter
            or (place == 0 and at > 0 and candidate[at - 1].isalnum())
        ):
            at -= 1
        if at < 0:
            return None
    long = candidate[at:]
    return long if spells(acronym, long) else None


def spells(acronym: str, long: str) -> bool:
    """Say whether a form spells an acronym: each word but the small ones has a letter in it."""
    letters = [letter.lower() for letter in singular(acronym) if letter.isalnum()]
    parts = _WORD.findall(long.lower())
    # To fit many letters to words that repeat them takes exponential time.
    if not 2 <= len(letters) <= _LONGEST or not 2 <= len(parts) <= len(letters) + 2:
        return False
    return _fits(letters, parts)


SMALL = frozenset("of and the for in on to a an with by".split())


def _begins(acronym: str, long: str) -> bool:
    """Say whether the first letters of a form are an acronym, small words counted or not."""
    parts = _WORD.findall(long.lower())
    full = "".join(part[0] for part in parts)
    short = "".join(part[0] for part in parts if part not in SMALL)
    return singular(acronym).lower() in (full, short) and parts[-1] not in SMALL


def _fits(letters: list[str], parts: list[str]) -> bool:
    """Match letters to words: each word gives its first letter and perhaps inner ones, in order."""
    if not parts:
        return not letters
    if not letters:
        return all(part in SMALL for part in parts)
    first, rest = parts[0], parts[1:]
    if first in SMALL and _fits(letters, rest):
        return True
    if first[0] != letters[0]:
        return False
    taken, at = 1, 1
    if _fits(letters[1:], rest):
        return True
    while taken < len(letters) and (at := first.find(letters[taken], at)) >= 0:
        taken, at = taken + 1, at + 1
        if _fits(letters[taken:], rest):
            return True
    return False


def plain(form: str) -> str:
    """Return a form in lower case, with spaces for hyphens and its last word in the singular."""
    parts = _WORD.findall(form.lower())
    if parts and len(parts[-1]) > 3 and parts[-1].endswith("s") and parts[-1][-2] not in "sui":
        parts[-1] = parts[-1][:-1]
    return " ".join(parts)
