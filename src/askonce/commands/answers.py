"""What a stored answer says, for people: all of it, or its first words."""

from __future__ import annotations

from itertools import islice
from typing import Any

from askonce import dialects, replay
from askonce.commands.terminal import plain
from askonce.dialects import prose
from askonce.dialects.plain import PLAIN
from askonce.dialects.wire import encode, items, record
from askonce.model import Entry

SEALED = "sealed: only programs that have its secret can read it"


def whole(entry: Entry) -> Any:
    """Return the whole answer: a stream put together, the result of a function as it was."""
    if entry.kind == "sealed":
        return SEALED
    dialect = PLAIN if entry.dialect == PLAIN.name else dialects.named(entry.dialect)
    found = None if dialect is None else replay.answer(dialect, entry.response)
    if found is None:
        # Another release wrote it. Its bytes are shown as they are.
        return entry.body.decode("utf-8", "backslashreplace")
    if dialect is PLAIN:
        return found.get("value", found.get("items"))
    return found


def first_words(entry: Entry, most: int = 200) -> str:
    """Return what the answer says in one line, without more characters than asked for."""
    answer = whole(entry)
    if isinstance(answer, dict) and (vectors := _vectors(answer)):
        return vectors
    said = " ".join(islice(prose.said(answer), 50))
    return plain((said or encode(answer))[: 4 * most])[:most]


def _vectors(answer: dict[str, Any]) -> str:
    found = [item["embedding"] for item in items(answer.get("data")) if "embedding" in record(item)]
    if not found:
        return ""
    return f"[{len(found)} x {len(found[0])} numbers]" if isinstance(found[0], list) else "[vector]"
