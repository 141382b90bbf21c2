"""Tells the instruction of a long text from the text it is about, which must be equal. Pure."""

from __future__ import annotations

import re

from msgspec import Struct

LONG = 400
"""Characters from which on a text is searched for an instruction; a question is shorter."""
SHORT = 300
"""Characters that an instruction has at most."""

_BETWEEN = re.compile(r"\n[ \t]*\n")


class Divided(Struct, frozen=True, gc=False):
    """A text taken apart: `before`, `instruction` and `behind` are the whole of it, in order."""

    instruction: str
    before: str = ""
    behind: str = ""


def divide(text: str) -> Divided:
    """Find the paragraph that asks something, at the end or else the beginning of a long text.

    It asks if it ends in a question mark, at the beginning also in a colon. A short text, or a long
    one in which nothing asks, is all instruction.
    """
    if len(text) < LONG:
        return Divided(text)
    breaks = list(_BETWEEN.finditer(text))
    if breaks and _asks(text[breaks[-1].end() :], "?"):
        at = breaks[-1].end()
        return Divided(text[at:], before=text[:at])
    if breaks and _asks(text[: breaks[0].start()], "?:"):
        at = breaks[0].start()
        return Divided(text[:at], behind=text[at:])
    return Divided(text)


def _asks(paragraph: str, signs: str) -> bool:
    said = paragraph.strip()
    return 0 < len(said) <= SHORT and said[-1] in signs
