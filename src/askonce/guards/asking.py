"""What is asked for: yes or no, a reason, a way, a time, an amount."""

from __future__ import annotations

from askonce.guards.difference import Difference
from askonce.guards.lists import Lists
from askonce.guards.said import Said

NEAR = 0
"""Content words without a partner, at most, beside which another question word matters."""

_WH = frozenset("what which who whom whose when where why how".split())
_AMOUNTS = frozenset(
    "much many long old far often tall big fast high deep heavy large wide".split()
)
_INDIRECT = (
    "is there a way",
    "is there any way",
    "is there a good way",
    "is it possible",
    "can you suggest",
    "can you tell",
    "can you explain",
    "can you please",
    "can anyone",
    "can someone",
    "could anyone",
    "could someone",
    "could you",
    "would you",
    "does anyone know",
    "does anybody know",
    "do you know",
    "has anyone",
    "has anybody",
    "do you have any",
    "are there any",
    "is there any",
    "is there a",
    "have you ever",
    "are you",
)
"""Yes or no is seldom the answer to these."""
_WHAT = {
    "time": "when", "date": "when", "year": "when", "day": "when",
    "place": "where", "reason": "why", "cause": "why", "make": "why",
    "way": "how", "step": "how", "method": "how", "trick": "how", "tip": "how", "procedure": "how",
    "process": "how", "do": "how", "key": "how", "like": "how", "technique": "how",
    "strategy": "how",
    "person": "who", "people": "who", "age": "how old", "number": "how many", "cost": "how much",
    "price": "how much", "amount": "how much", "distance": "how far", "duration": "how long",
    "height": "how tall", "salary": "how much", "population": "how many",
}  # fmt: skip
"""What asks for a way is "how", and so on."""


def yes_or_no(difference: Difference) -> bool:
    """Say whether one text is answered with yes or no and the other is not, and little differs.

    "What will happen if" adds nothing but the question.
    """
    left = {*difference.words_gone, *difference.words_come}
    if len(left - {"happen"}) > NEAR:
        return False
    old, new = kinds(difference.old, difference.lists), kinds(difference.new, difference.lists)
    return bool(old and new) and (old == {"yes"}) != (new == {"yes"}) and old.isdisjoint(new)


def another_question(difference: Difference) -> bool:
    """Say whether both ask for something else: why and how, when and where, how many and how."""
    if difference.size > NEAR:
        return False
    old, new = kinds(difference.old, difference.lists), kinds(difference.new, difference.lists)
    return bool(old and new) and "yes" not in old | new and old.isdisjoint(new)


def kinds(said: Said, lists: Lists) -> set[str]:
    """Return what the sentences ask for: "yes", "what", "how", "how many", "why" ..."""
    found: set[str] = set()
    for at, word in enumerate(said.low):
        if said.begins[at] and word in lists.asks_yes_or_no:
            start = " ".join(said.low[at : at + 5]) + " "
            found.add("any" if start.startswith(_INDIRECT) else "yes")
        elif word in _WH:
            found |= _asked(said, at, lists)
    if "any" in found:
        return set()
    return found


def _asked(said: Said, at: int, lists: Lists) -> set[str]:
    word = said.low[at]
    if word in ("what", "which"):
        return {"what"} | {_WHAT[base] for base in said.base[at + 1 :] if base in _WHAT}
    if word == "how":
        following = said.low[at + 1] if at + 1 < len(said.low) else ""
        if following == "come":
            return {"why"}
        if following in _AMOUNTS:
            return {f"how {following}"}
        return {"how"} if following in lists.function_words else {f"how {following}", "yes"}
    return {"who" if word in ("whom", "whose") else word}
