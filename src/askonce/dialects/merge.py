"""Putting values together that came in pieces. Pure: no piece is ever changed.

Everything is folded at once, not piece by piece, so a long answer costs time in its length only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, TypeAlias

from askonce.dialects.contract import Json

Fold: TypeAlias = Callable[[str, list[Any]], Any]

WHOLE = frozenset(
    {"id", "type", "name", "role", "object", "model", "format", "status", "call_id", "channel"}
)
"""Text that comes whole in one piece, and that some providers repeat in each."""

GROWING = frozenset(
    """
    arguments code content data input partial_json reasoning reasoning_content reasoning_text
    refusal summary text thinking transcript
    """.split()
)
"""Text that comes in pieces, to be continued. Of a name that is in neither set nobody knows."""


class Unclear(ValueError):
    """The pieces can be read in more than one way."""


def gather(pieces: Iterable[Json], fold: Fold) -> Json:
    """Fold the members of one name over all pieces; null only where no piece says more."""
    members: dict[str, list[Any]] = {}
    for piece in pieces:
        for name, value in piece.items():
            members.setdefault(name, []).append(value)
    return {name: _fold_given(name, values, fold) for name, values in members.items()}


def _fold_given(name: str, values: list[Any], fold: Fold) -> Any:
    given = [value for value in values if value is not None]
    return fold(name, given) if given else None


def grown(name: str, values: list[Any]) -> Any:
    """Fold a member of a delta: text is continued, lists are extended, entries met by index."""
    if all(isinstance(value, str) for value in values):
        return _text(name, values) if name in GROWING else single(name, values)
    if all(isinstance(value, dict) for value in values):
        return gather(values, grown)
    if all(isinstance(value, list) for value in values):
        return _entries([entry for value in values for entry in value])
    return _last_plain(name, values)


def extended(name: str, values: list[Any]) -> Any:
    """Fold a member beside a delta: lists are extended, anything else is told anew each time."""
    if all(isinstance(value, dict) for value in values):
        return gather(values, extended)
    if all(isinstance(value, list) for value in values):
        return [entry for value in values for entry in value]
    return _last_plain(name, values)


def replaced(_name: str, values: list[Any]) -> Any:
    """Fold a member of a whole chunk: each tells the state so far."""
    return values[-1]


def single(name: str, values: Sequence[Any]) -> Any:
    """Return the one value that all pieces agree on; empty text says nothing."""
    known = {value for value in values if value != ""}
    if len(known) > 1:
        raise Unclear(f"{name} changes within one answer")
    return known.pop() if known else ""


def _text(name: str, values: list[str]) -> str:
    # Padded base64 cannot be continued: its pieces were encoded one by one.
    if name == "data" and any(value.endswith("=") for value in values[:-1]):
        raise Unclear("binary data in pieces that were encoded one by one")
    return "".join(values)


def _entries(entries: list[Any]) -> list[Any]:
    places = [_place(entry) for entry in entries]
    if None in places:
        return entries
    # sorted() is stable: the fragments of an entry stay in the order they came in.
    ordered = sorted(zip(places, entries, strict=True), key=lambda placed: placed[0] or 0)
    return [
        gather([entry for _, entry in fragments], grown)
        for _, fragments in groupby(ordered, key=lambda placed: placed[0])
    ]


def _place(entry: Any) -> int | None:
    place = entry.get("index") if isinstance(entry, dict) else None
    return place if isinstance(place, int) else None


def _last_plain(name: str, values: list[Any]) -> Any:
    if any(isinstance(value, (dict, list)) for value in values):
        raise Unclear(f"{name} is now of one kind, now of another")
    return values[-1]


def parts(values: list[Any]) -> str | list[Any]:
    """Fold content that is text, or a list of typed parts (Mistral), or first one, then the other.

    Neighbours of one kind are one part, as in a whole answer: text in a row is continued.
    """
    if all(isinstance(value, str) for value in values):
        return "".join(values)
    pieces: list[Any] = []
    for value in values:
        if isinstance(value, str):
            pieces += [{"type": "text", "text": value}] if value else []
        elif isinstance(value, list):
            pieces += value
        else:
            raise Unclear("content is neither text nor a list of parts")
    return _joined(pieces)


def _joined(pieces: list[Any]) -> list[Any]:
    joined: list[Any] = []
    for kind, run in groupby(pieces, key=_kind):
        alike = list(run)
        joined += [gather(alike, _part_member)] if kind in ("text", "thinking") else alike
    return joined


def _kind(piece: Any) -> Any:
    return piece.get("type") if isinstance(piece, dict) else None


def _part_member(name: str, values: list[Any]) -> Any:
    if name == "thinking" and all(isinstance(value, list) for value in values):
        return _joined([piece for value in values for piece in value])
    return grown(name, values)
