"""The key under which all wordings of one question meet. Pure."""

from __future__ import annotations

from msgspec import structs

from askonce import plans
from askonce.dialects.contract import Json
from askonce.dialects.wire import items, prose, record
from askonce.errors import Ambiguous
from askonce.model import Reason
from askonce.plans import Plan
from askonce.policy import Models
from askonce.semantic.canonical import RULES, canonical
from askonce.semantic.instructions import is_about_texts

NO_QUESTION = Reason("no_question", "the request does not end with one text of its user")
INSTRUCTED = Reason("instructed", "what stands around the question may be about its wording")

_TURNS = ("messages", "input", "contents")
"""Where the dialects keep the turns of a conversation."""


def key(plan: Plan, models: Models) -> bytes | Reason:
    """Return the key of the request with its question in canonical form, or why it has none."""
    question = None if plan.request is None else plan.dialect.question(plan.body)
    if plan.request is None or question is None:
        return NO_QUESTION
    around = question.placed(None)
    if is_about_texts(f"{plan.dialect.system(around)} {_turns(around)}"):
        return INSTRUCTED
    found = canonical(question.text)
    if isinstance(found, Reason):
        return found
    # No text is a list, so no request of somebody's own has this key.
    body = question.placed(["canonical", RULES, found.form])
    try:
        return plans.keyed(plan.request, structs.replace(plan, body=body), models).key
    except Ambiguous as doubt:
        return Reason("ambiguous", str(doubt))


def _turns(around: Json) -> str:
    """Return what is said in a request, by whomever."""
    turns = [record(turn) for name in _TURNS for turn in items(around.get(name))]
    return " ".join(prose(turn.get("content", turn.get("parts"))) for turn in turns)
