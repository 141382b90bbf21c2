"""The question of a request: its last user text, and the request with that text taken out. Pure.

There is none in a tool loop, nor where the user gives anything beside one text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from askonce.dialects.contract import Json, Question
from askonce.dialects.wire import items, record

Placed: TypeAlias = Callable[[Any], Any]
"""Puts something in the place of the question."""

_TOOLS = ("tool", "function")
"""Roles in which a tool answers."""


def in_messages(body: Json, field: str = "messages") -> Question | None:
    """Find the question of a chat: the last message, if the user says it in one text."""
    messages = body.get(field)
    if not isinstance(messages, list) or not messages or any(map(_is_of_tools, messages)):
        return None
    last = messages[-1]
    if record(last).get("role") != "user" or record(last).get("type", "message") != "message":
        return None
    found = in_content(last, "content")
    if found is None:
        return None
    text, place = found
    return Question(text, lambda form: {**body, field: [*messages[:-1], place(form)]})


def in_content(message: Json, field: str) -> tuple[str, Placed] | None:
    """Find the one text that a message holds."""
    content = message.get(field)
    if isinstance(content, str):
        return content, lambda form: {**message, field: form}
    if not isinstance(content, list) or len(content) != 1:
        return None
    (part,) = content
    text = record(part).get("text")
    if not isinstance(text, str) or record(part).get("type", "text") not in ("text", "input_text"):
        return None
    return text, lambda form: {**message, field: [{**part, "text": form}]}


def in_input(body: Json) -> Question | None:
    """Find the question of a request of Responses, whose input is a text or a list of items."""
    text = body.get("input")
    if isinstance(text, str):
        return Question(text, lambda form: {**body, "input": form})
    return in_messages(body, "input")


def in_contents(body: Json) -> Question | None:
    """Find the question of a request of Gemini."""
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents or any(map(_is_of_tools, contents)):
        return None
    last = record(contents[-1])
    found = in_content(last, "parts") if last.get("role", "user") == "user" else None
    if found is None:
        return None
    text, place = found
    return Question(text, lambda form: {**body, "contents": [*contents[:-1], place(form)]})


def _is_of_tools(message: Any) -> bool:
    """Say whether a tool was called, or answers, in this message."""
    fields = record(message)
    if fields.get("role") in _TOOLS or fields.get("tool_calls") or fields.get("function_call"):
        return True
    # Responses lists calls and their results beside the messages.
    if fields.get("type", "message") != "message":
        return True
    parts = [*items(fields.get("content")), *items(fields.get("parts"))]
    return any(
        record(part).get("type") in ("tool_use", "tool_result")
        or not record(part).keys().isdisjoint(("functionCall", "functionResponse"))
        or not record(part).keys().isdisjoint(("function_call", "function_response"))
        for part in parts
    )
