"""Acronyms, each by the definition that an entry gives of it itself.

There is no glossary: RAG is Retrieval-Augmented Generation only for an entry that says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from askonce.model import Reason
from askonce.semantic import casing, disciplines, reading, wording
from askonce.semantic.definitions import SMALL, definitions, plain, singular, spells
from askonce.semantic.words import Words, shipped


class AskedAcronym(Struct, frozen=True, gc=False):
    """What a question asks the definition of, and in which field."""

    key: str
    """Under which an entry is found: one of its `names`."""
    field: str = ""
    """A discipline as `disciplines` names it, or "" where a thing is asked for by its long form."""


# What a question asks

_ACRONYM = re.compile(r"([A-Z]{3,6})s?")
"""Two letters mean many things in one field: ED in medicine, CD in computing."""
_DOUBT = re.compile(
    r"(?:\bnot|n't|n\u2019t) (?:\w+ ){0,2}(?:familiar|aware|sure|certain|find|recogni[sz]e|know)\b"
    r"|(?:\bnot|n't|n\u2019t) (?:an? )?(?:\w+ ){0,2}(?:term|concept|acronym|phrase|name)\b"
    r"|\bno (?:\w+ ){0,2}(?:term|concept|acronym|information|definition)\b"
    r"|\b(?:unfamiliar|might be|might describe|did you mean)\b",
    re.IGNORECASE,
)
_BEGINNING = 300
"""Characters of an answer in which a doubt is about the thing itself."""
_OPENINGS = (
    ["what", "is"],
    ["what", "are"],
    ["explain"],
    ["define"],
    ["describe"],
    ["tell", "me", "about"],
)
_ABOUT = (["the", "concept", "of"], ["the", "idea", "of"], ["the", "idea", "behind"])
_INTO_A_FIELD = (["in", "the", "field", "of"], ["in", "the", "context", "of"], ["in"])


class _Asked(Struct, frozen=True, gc=False):
    thing: list[str]
    field: str


def asked(text: str) -> AskedAcronym | None:
    """Return what a question asks the definition of, if an entry can be found by it.

    That is an acronym in a field of knowledge ("Can you explain RAG in AI?") or a thing by its long
    name. None for everything else: an acronym alone, one in lower case, words left over.
    """
    found = _asked(text)
    if found is None:
        return None
    acronym = _acronym(found.thing)
    if acronym is not None:
        return AskedAcronym(_by_acronym(acronym), found.field) if found.field else None
    long = _long(found.thing)
    return None if long is None or found.field else AskedAcronym(_by_long(long))


def names(question: str, answer: str) -> list[str]:
    """Return the keys under which an entry is found as the definition of a thing.

    Its question must ask what the thing is and nothing else, and its answer know it. The acronym is
    one of the keys only if question or answer says what it stands for, and of one thing alone.
    """
    found = _asked(question)
    if found is None or _DOUBT.search(answer[:_BEGINNING]):
        return []
    stated = definitions(question, answer)
    acronym = _acronym(found.thing)
    if acronym is not None:
        longs = {one.long for one in stated if one.acronym == acronym}
        if len(longs) != 1:
            return []
        if not found.field:
            return [_by_acronym(acronym), _by_long(longs.pop())]
        # In a part of a field, or about another than it names, it answers no other question.
        whole = "/" not in found.field and disciplines.is_about(answer, found.field)
        return [_by_acronym(acronym)] if whole else []
    long = _long(found.thing)
    if long is None or found.field:
        return []
    own = {one.acronym for one in stated if one.long == long} | _used(long, answer)
    once = [
        one for one in own if {other.long for other in stated if other.acronym == one} <= {long}
    ]
    return [_by_long(long), *map(_by_acronym, sorted(once))] if once else []


def agrees(
    field: str, question: str, answer: str, similarity: disciplines.Similarity | None = None
) -> bool:
    """Say whether an entry is about this field. In doubt it is not.

    The field that the entry's question names decides, or else what its answer is about.
    """
    own = _asked(question)
    if own is not None and own.field:
        return own.field == field
    return disciplines.is_about(answer, field, similarity)


def is_one_sense(sought: AskedAcronym, answers: Sequence[str]) -> bool:
    """Say whether answers define one thing: there is but one, or all state the same long form."""
    if len(answers) == 1:
        return True
    stated = [
        frozenset(
            one.long for one in definitions("", text) if _by_acronym(one.acronym) == sought.key
        )
        for text in answers
    ]
    return len(set(stated)) == 1 and len(stated[0]) == 1


def _used(long: str, answer: str) -> set[str]:
    """Return the acronym of an entry's own subject, where its answer calls it so without more ado.

    Three letters at least: all first letters of the subject, and nothing else.
    """
    parts = long.split()
    initials = {
        "".join(part[0] for part in parts).upper(),
        "".join(part[0] for part in parts if part not in SMALL).upper(),
    }
    said = {singular(word) for word in re.findall(r"\b[A-Z]{3,6}s?\b", answer)}
    return {one for one in initials & said if len(one) > 2}


def _by_acronym(acronym: str) -> str:
    return f"acronym {acronym}"


def _by_long(long: str) -> str:
    return f"thing {long}"


def _asked(text: str) -> _Asked | None:
    """Return what is asked the definition of: words, and the discipline it is asked in."""
    words = shipped()
    tokens = reading.read(text, words)
    if isinstance(tokens, Reason):
        return None
    tokens = casing.first_in_lower_case(wording.without_politeness(tokens))
    tokens = wording.in_full(casing.first_in_lower_case(tokens), words)
    field = ""
    for opening in _INTO_A_FIELD:
        for at in range(2, len(tokens) - len(opening)):
            if tokens[at : at + len(opening)] == opening and not field:
                named = disciplines.named(" ".join(tokens[at + len(opening) :]))
                if named is None:
                    return None
                tokens, field = tokens[:at], named
    thing = _thing(tokens)
    return None if thing is None else _Asked(thing, field)


def _thing(tokens: list[str]) -> list[str] | None:
    """Return the words behind "what is", or between "what" and "is"."""
    for opening in _OPENINGS:
        if tokens[: len(opening)] == opening:
            thing = tokens[len(opening) :]
            break
    else:
        if tokens[0] != "what" or tokens[-1] not in ("is", "are"):
            return None
        thing = tokens[1:-1]
    for about in _ABOUT:
        if thing[: len(about)] == about:
            thing = thing[len(about) :]
    if thing[:1] in (["a"], ["an"]):
        thing = thing[1:]
    return thing or None


def _acronym(thing: list[str]) -> str | None:
    found = _ACRONYM.fullmatch(thing[0]) if len(thing) == 1 else None
    return found[1] if found else None


def _long(thing: list[str]) -> str | None:
    """Return the long name of a thing, without its acronym in brackets; None if it is none."""
    words = shipped()
    if len(thing) > 1 and thing[-1].startswith("(") and thing[-1].endswith(")"):
        inside, thing = thing[-1][1:-1], thing[:-1]
        if not spells(inside, " ".join(thing)):
            return None
    name = plain(" ".join(thing))
    parts = name.split()
    if not 2 <= len(parts) <= 8 or not all(part.isalpha() for part in parts):
        return None
    return name if _is_a_name(parts, words) else None


def _is_a_name(parts: list[str], words: Words) -> bool:
    """Say whether these words name one thing: no word among them that asks for something more."""
    if parts[0] in SMALL or parts[-1] in SMALL:
        return False
    return all(part in SMALL or part not in words.no_part_of_a_name for part in parts)
