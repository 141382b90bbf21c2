"""What a stored answer says, for people: all of it, or its first words."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from askonce import dialects, replay
from askonce.commands.terminal import plain
from askonce.dialects.plain import PLAIN
from askonce.dialects.wire import encode, items, record
from askonce.model import Entry

_SAID = (
    "choices", "candidates", "output", "message", "content", "parts", "text", "refusal",
    "tool_calls", "function", "functionCall",
)  # fmt: skip
"""The members under which the providers put what the model said, and the calls it made."""

SEALED = "sealed: only programs that have its secret can read it"

_ARGUMENTS = ("arguments", "args", "input")


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
    said = " ".join(islice(_said(answer), 50))
    return plain((said or encode(answer))[: 4 * most])[:most]


def _said(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _said(item)
    elif isinstance(value, dict):
        called = next((name for name in _ARGUMENTS if name in value), None)
        if called is not None and isinstance(value.get("name"), str):
            given = value[called]
            yield f"{value['name']}({given if isinstance(given, str) else encode(given)})"
        else:
            for name in _SAID:
                yield from _said(value.get(name))


def _vectors(answer: dict[str, Any]) -> str:
    found = [item["embedding"] for item in items(answer.get("data")) if "embedding" in record(item)]
    if not found:
        return ""
    return f"[{len(found)} x {len(found[0])} numbers]" if isinstance(found[0], list) else "[vector]"
