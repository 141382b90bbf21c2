"""In which form an answer is wanted: how long, as a list, in French, for beginners."""

from __future__ import annotations

import re

from askonce.guards.difference import Difference
from askonce.guards.said import Said

_PHRASES = (
    r"briefly|concisely|succinctly|in brief|in short|in a nutshell|tl;?dr|eli5",
    r"in (?:great |more |full )?(?:detail|depth)|elaborately|step[ -]by[ -]step",
    r"in (?:very )?(?:simple|plain|easy|layman'?s?|simpler|basic) (?:terms|words|language|english)",
    (
        r"in (?:just |only |under |less than |about |at most |exactly )?"
        r"(?:a|one|two|three|four|five|ten|\d+) (?:single |short |simple )?"
        r"(?:words?|sentences?|lines?|paragraphs?|pages?|points?|bullets?|steps?)"
    ),
    r"(?:a|one|\d+)[ -](?:word|sentence|line|paragraph|page)s?",
    (
        r"(?:as|in|into|with) (?:a |an )?(?:bullets?|bullet points?|list|table|json|yaml|xml|csv"
        r"|html|markdown|latex|poem|song|story|haiku|joke|essay|tweet|diagram|graph|chart)"
    ),
    r"(?:like|as if) (?:i am|i'm|im|i were|i was) (?:a |an )?\w+",
    (
        r"to (?:a |an |my )?(?:\d+ |five |six |ten )?(?:kid|child|children|toddler|beginner|layman"
        r"|year old|grandmother|grandma|dummy)s?"
    ),
    (
        r"for (?:a |an |absolute |complete )?(?:beginner|dummie|dummy|kid|children|child|layman"
        r"|laymen|expert|newbie|novice)s?"
    ),
    r"with (?:an? |some |real life )?(?:example|diagram|analogy|source|reference|citation)s?",
    r"give (?:me )?(?:an? |some )?examples?|formally|informally|humou?rously|in the style of",
    r"without (?:using )?(?:jargon|math|code|examples?)|short answer|long answer",
)
_FORM = re.compile(rf"\b(?:{'|'.join(_PHRASES)})\b", re.IGNORECASE)
_HINTS = frozenset(
    "briefly concisely succinctly brief short nutshell tldr tl eli detail depth elaborately step "
    "term word language english sentence line paragraph page point bullet list table json yaml xml "
    "csv html markdown latex poem song story haiku joke essay tweet diagram graph chart like as to "
    "for with give formally informally humorously humourously style without answer".split()
)
"""Every form has one of these words."""

# "The best book for beginners" names whom the book is for, not the answer.
_CHOICE = frozenset("best good top better great which recommend buy".split())


def another_form(difference: Difference) -> bool:
    """Say whether the answer is wanted in another form, or in another language."""
    if _forms(difference.old) != _forms(difference.new) and _CHOICE.isdisjoint(
        [*difference.old.base, *difference.new.base]
    ):
        return True
    old, new = difference.old, difference.new
    return not (_languages(difference, old) <= {*new.low}) or not (
        _languages(difference, new) <= {*old.low}
    )


def _forms(said: Said) -> list[str]:
    if _HINTS.isdisjoint(said.base):
        return []
    return sorted(found[0].lower() for found in _FORM.finditer(said.text))


def _languages(difference: Difference, said: Said) -> set[str]:
    """Return the languages behind "in", where they end a sentence or are followed by a comma."""
    languages = difference.lists.languages
    last = len(said.low) - 1
    return {
        word
        for at, word in enumerate(said.low)
        if at
        and word in languages
        and said.low[at - 1] == "in"
        and (at == last or said.begins[at + 1] or f"{said.raw[at]}," in said.text)
    }
