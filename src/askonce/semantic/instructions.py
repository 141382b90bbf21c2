"""Reads what stands around a question: whether it is asked, or a text to be worked on."""

from __future__ import annotations

import re

from askonce.semantic.words import shipped

_WORDS = re.compile(r"[^\W\d_]+(?:'[a-z]+)?")
_SHORT = 6
"""Words that may stand in any language: "You are a helpful assistant." has five."""
_PART = 8
"""In English every third word or so is one of the small ones; one of eight must be."""


def is_about_texts(around: str) -> bool:
    """Say whether what stands around the user's text may be about it as a text, not as a question.

    "Translate the user's message" is, and so is everything that is not plain English.
    """
    words = shipped()
    found = _WORDS.findall(around.lower())
    said = set(found)
    if not said.isdisjoint(words.text_operations) or not said.isdisjoint(words.about_messages):
        return True
    plain = sum(word in words.english for word in found)
    return len(found) > _SHORT and plain * _PART < len(found)
