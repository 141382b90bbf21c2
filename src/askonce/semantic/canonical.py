"""One wording for questions that are the same but for their dress.

Two questions with one form have the same answer. Everything that is not known to say nothing stays
as it is: names, numbers, negations, the order of words. In doubt there is no form, and the question
is matched as it is written. Reasons and figures: docs/decisions/010-canonical-text.md.
"""

from __future__ import annotations

from msgspec import Struct

from askonce.model import Reason
from askonce.semantic import casing, reading, shapes, wording
from askonce.semantic.words import shipped

RULES = 1
"""Counts into the key of a form. A change of the rules makes new keys, never wrong ones."""


class Canonical(Struct, frozen=True, gc=False):
    """The form of a question: readable text, and equal for equal questions only."""

    form: str


def canonical(text: str) -> Canonical | Reason:
    """Return the form of a question, or the reason why it is matched only as it is written.

    Pure, linear in the length of the text, and defined for every str. The form of a form is itself.
    """
    words = shipped()
    tokens = reading.read(text, words)
    if isinstance(tokens, Reason):
        return tokens
    tokens = casing.first_in_lower_case(wording.without_politeness(tokens))
    tokens = wording.in_full(tokens, words)
    if not wording.is_one(tokens, words):
        return reading.NO_QUESTION
    tokens = casing.fold(tokens, words)
    tokens = casing.with_a_capital_i(tokens)
    tokens = shapes.reshaped(tokens, words)
    return Canonical(" ".join(shapes.without_articles(tokens, words)))
