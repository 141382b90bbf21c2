"""Takes away the capitals that say nothing. All others stay: US is not us, Polish is not polish."""

from __future__ import annotations

import re

from askonce.semantic.wording import WH
from askonce.semantic.words import Words

_CAPITALISED = re.compile(r"[A-Z][a-z]+(?:-[A-Z]?[a-z]+)*")
_TAILS = ("'s", ",")
_BEFORE_I = frozenset("do can should did could would must".split())


def first_in_lower_case(tokens: list[str]) -> list[str]:
    """Return the words with the first in lower case, if it is capitalised as a sentence begins."""
    first = tokens[0]
    if first[0].isupper() and first[1:].islower():
        return [first.lower(), *tokens[1:]]
    return tokens


def with_a_capital_i(tokens: list[str]) -> list[str]:
    """Return the words with the "i" of "how do i" as I. Elsewhere it may be a name or a number."""
    if len(tokens) < 4 or tokens[2] != "i" or tokens[0] not in WH or tokens[1] not in _BEFORE_I:
        return tokens
    verb = tokens[3]
    if verb in ("be", "equal", "and", "or") or not (verb.isalpha() and verb.islower()):
        return tokens
    return [*tokens[:2], "I", *tokens[3:]]


def fold(tokens: list[str], words: Words) -> list[str]:
    """Return the words with those in lower case whose capital says nothing.

    These are small words, names that mean nothing else, and compounds of two or more such as
    "Machine Learning", where the last word says what kind of thing it is.
    """
    folded = list(tokens)
    run: list[int] = []
    for place, token in enumerate(tokens):
        word, tail = _without_tail(token)
        if token[0].islower() or not _CAPITALISED.fullmatch(word):
            _close(run, place, folded, words)
            continue
        low = word.lower()
        if low in words.small_words or low in words.names:
            folded[place] = token.lower()
        if low in words.small_words:
            _close(run, place, folded, words)
        else:
            run.append(place)
        if tail:
            _close(run, place + 1, folded, words)
    _close(run, len(tokens), folded, words)
    return folded


def _close(run: list[int], after: int, folded: list[str], words: Words) -> None:
    """Fold a run of capitalised words if it is a compound, and begin a new one."""
    if run and _is_compound(run, after, folded, words):
        for place in run:
            folded[place] = folded[place].lower()
    run.clear()


def _is_compound(run: list[int], after: int, tokens: list[str], words: Words) -> bool:
    parts = "-".join(_without_tail(tokens[place])[0] for place in run).lower().split("-")
    if len(parts) < 2 or parts[-1] not in words.heads or not words.also_names.isdisjoint(parts):
        return False
    if min(map(len, parts)) < 3:  # "Go Programming"
        return False
    # Beside a number or another name it is a part of a title: "Machine Learning 101".
    before = tokens[run[0] - 1] if run[0] else ""
    behind = tokens[after] if after < len(tokens) else ""
    return before[-1:].islower() and before[:1].islower() and (not behind or behind[0].islower())


def _without_tail(token: str) -> tuple[str, str]:
    for tail in _TAILS:
        if token.endswith(tail):
            return token[: -len(tail)], tail
    return token, ""
