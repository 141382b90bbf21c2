"""All guards in order, and what each is called."""

from __future__ import annotations

from collections.abc import Callable

from askonce.guards import (
    adding,
    asking,
    difference,
    forms,
    naming,
    ordering,
    polarity,
    quantities,
    replacing,
    said,
    tenses,
)
from askonce.guards.difference import Difference
from askonce.guards.lists import shipped

Guard = Callable[[Difference], bool]

GUARDS: tuple[tuple[str, Guard], ...] = (
    ("number", quantities.another_number),
    ("number_more", quantities.one_more_number),
    ("exact", naming.another_exact_part),
    ("script", naming.another_script),
    ("name", naming.another_name),
    ("name_more", naming.one_more_name),
    ("case", naming.another_case),
    ("opposite", polarity.an_opposite),
    ("small_opposite", polarity.a_small_opposite),
    ("one_of_two", polarity.one_of_two),
    ("negation", polarity.another_negation),
    ("person", polarity.another_person),
    ("agent", ordering.another_agent),
    ("order", ordering.another_order),
    ("yes_or_no", asking.yes_or_no),
    ("question", asking.another_question),
    ("form", forms.another_form),
    ("used_to", tenses.used_to_be),
    ("tense", tenses.another_tense),
    ("what_if", tenses.what_if),
    ("mode", tenses.another_mode),
    ("choice", tenses.together_or_either),
    ("choice_of", replacing.another_choice),
    ("more", adding.one_thing_more),
    ("kind", replacing.another_kind),
    ("word", replacing.one_word_replaced),
)
"""Names and guards, in the order in which they are asked. Figures: docs/decisions/013-guards.md."""

WORDINGS = frozenset(["yes_or_no", "question", "more", "kind", "word"])
"""Guards that tell wordings apart which may have one answer all the same."""


def veto(old: str, new: str) -> str | None:
    """Return the name of the first guard that tells the questions apart, or None.

    Pure and symmetric but for which guard is named. It is asked about a question near to another
    one: of two that have little in common it says nothing useful.
    """
    if old == new:
        return None
    between = compare(old, new)
    return next((name for name, fires in GUARDS if fires(between)), None)


def contradiction(old: str, new: str) -> str | None:
    """Return the name of the first guard that no agreement of judged wordings outweighs, or None.

    Where several judged wordings have one answer, another word or another way to ask says nothing,
    but another number, name or negation does.
    """
    if old == new:
        return None
    between = compare(old, new)
    return next((name for name, fires in GUARDS if name not in WORDINGS and fires(between)), None)


def fired(old: str, new: str) -> list[str]:
    """Return the names of all guards that tell the questions apart."""
    if old == new:
        return []
    between = compare(old, new)
    return [name for name, fires in GUARDS if fires(between)]


def compare(old: str, new: str) -> Difference:
    """Return what the guards are asked about."""
    lists = shipped()
    return difference.between(said.read(old, lists), said.read(new, lists), lists)
