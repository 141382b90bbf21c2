"""What a call asks, and the keys under which other wordings of it are found. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct, structs

from askonce import plans
from askonce.dialects.contract import Json
from askonce.dialects.wire import items, prose, record
from askonce.errors import Ambiguous
from askonce.model import Reason
from askonce.plans import Plan
from askonce.policy import Models
from askonce.semantic.canonical import RULES, canonical
from askonce.semantic.instructions import is_about_texts
from askonce.semantic.payloads import divide

NO_QUESTION = Reason("no_question", "the request does not end with one text of its user")
INSTRUCTED = Reason("instructed", "what stands around the question may be about its wording")
UNNAMED = Reason("ambiguous", "the request with its question taken out has no key")

_TURNS = ("messages", "input", "contents")
"""Where the dialects keep the turns of a conversation."""


class Asked(Struct, frozen=True):
    """The question of a request, and how to name what stands for it."""

    question: str
    named: Callable[[list[Any]], bytes | None]
    """Returns the key of the request with a list in the question's place.

    No text is a list, so no request of somebody's own has such a key.
    """

    def canonical(self) -> bytes | Reason:
        """Return the key under which all wordings with one canonical text meet."""
        found = canonical(self.question)
        if isinstance(found, Reason):
            return found
        return self.named(["canonical", RULES, found.form]) or UNNAMED

    def scope(self) -> bytes | None:
        """Return the key of all that stands around the question, which must be equal."""
        return self.named(["scope"])


def asked(plan: Plan, models: Models) -> Asked | Reason:
    """Return what a request asks, or why no other wording of it may be answered."""
    request = plan.request
    question = None if request is None else plan.dialect.question(plan.body)
    if request is None or question is None:
        return NO_QUESTION
    around = question.placed(None)
    if is_about_texts(f"{plan.dialect.system(around)} {_turns(around)}"):
        return INSTRUCTED

    divided = divide(question.text)

    def named(place: list[Any]) -> bytes | None:
        # What the question is about counts as it is written.
        body = question.placed([*place, divided.before, divided.behind])
        try:
            return plans.keyed(request, structs.replace(plan, body=body), models).key
        except Ambiguous:
            return None

    return Asked(divided.instruction, named)


def _turns(around: Json) -> str:
    """Return what is said in a request, by whomever."""
    turns = [record(turn) for name in _TURNS for turn in items(around.get(name))]
    return " ".join(prose(turn.get("content", turn.get("parts"))) for turn in turns)
