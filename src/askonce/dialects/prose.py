"""What a model said in an answer, as text: found by the names that all providers use. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from askonce.dialects.wire import encode

_SAID = (
    "choices", "candidates", "output", "message", "content", "parts", "text", "refusal",
    "tool_calls", "function", "functionCall",
)  # fmt: skip
"""The members under which the providers put what the model said, and the calls it made."""

_ARGUMENTS = ("arguments", "args", "input")


def said(answer: Any) -> Iterator[str]:
    """Return the texts of an answer in order; of a call that the model made, its name and all."""
    if isinstance(answer, str):
        yield answer
    elif isinstance(answer, list):
        for item in answer:
            yield from said(item)
    elif isinstance(answer, dict):
        called = next((name for name in _ARGUMENTS if name in answer), None)
        if called is not None and isinstance(answer.get("name"), str):
            given = answer[called]
            yield f"{answer['name']}({given if isinstance(given, str) else encode(given)})"
        else:
            for name in _SAID:
                yield from said(answer.get(name))
