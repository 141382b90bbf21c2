"""Fields of knowledge that a question may name, and whether an answer is about one of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TypeAlias

Similarity: TypeAlias = Callable[[str, str], float]
"""Cosine of two texts."""

READ = 120
"""Words of an answer that are looked at: what comes later is examples and other uses."""
ENOUGH = 2
"""Words of one field, at least, and so many times more than of any other."""
APART = 0.05
"""Cosine by which the nearest field must lead, where words decide nothing."""

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_READ_AS_A_FIELD = 700


@dataclass(frozen=True, slots=True)
class _Field:
    names: frozenset[str]
    parts: frozenset[str]
    words: frozenset[str]


@cache
def _shipped() -> Mapping[str, _Field]:
    """Return the fields that come with askonce. They are read once, at the first question."""
    import tomllib
    from importlib.resources import files

    text = files("askonce.semantic").joinpath("disciplines.toml").read_text("utf-8")
    return {
        name: _Field(
            frozenset(map(_folded, field["names"])),
            frozenset(map(_folded, field["parts"])),
            frozenset(field["words"].split()),
        )
        for name, field in tomllib.loads(text).items()
    }


def _folded(name: str) -> str:
    """Return a name in lower case, unless it is an acronym: "it" is not IT."""
    return name if name.isupper() else name.lower()


def named(text: str) -> str | None:
    """Return the discipline that a text names, by one name for all its names: "ai" or "ai/ML"."""
    folded = _folded(text.removeprefix("the "))
    for name, field in _shipped().items():
        if folded in field.names:
            return name
        if folded in field.parts:
            return f"{name}/{folded}"
    return None


def is_about(answer: str, discipline: str, similarity: Similarity | None = None) -> bool:
    """Say whether an answer is about this discipline. In doubt it is not.

    Its words decide, if they are of one field by far. Otherwise the nearest field does, if there is
    a `similarity` to ask. A part of a field must be named as well.
    """
    name, _, part = discipline.partition("/")
    fields = _shipped()
    if name not in fields or (part and not _says(answer, part)):
        return False
    found = _WORD.findall(" ".join(answer.split()[:READ]).lower())
    said = {*found, *(_singular(word) for word in found)}
    said |= {f"{one}-{other}" for one, other in pairwise(found)}
    counts = {other: len(said & field.words) for other, field in fields.items()}
    mine = counts.pop(name)
    most = max(counts.values())
    if mine >= ENOUGH and mine >= ENOUGH * most:
        return True
    if similarity is None or mine < most or not mine:
        return False
    return _is_nearest(answer, name, similarity)


def _is_nearest(answer: str, name: str, similarity: Similarity) -> bool:
    start = answer[:_READ_AS_A_FIELD]
    near = {other: similarity(start, _described(field)) for other, field in _shipped().items()}
    mine = near.pop(name)
    return mine >= max(near.values()) + APART


def _described(field: _Field) -> str:
    return ", ".join(sorted(field.names))


def _says(text: str, name: str) -> bool:
    if name.isupper():
        return re.search(rf"\b{re.escape(name)}\b", text) is not None
    return re.search(rf"\b{re.escape(name)}\b", text.lower()) is not None


def _singular(word: str) -> str:
    return word.removesuffix("s")
