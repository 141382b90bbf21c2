"""Reading and writing JSON exactly, and reading members of JSON that may have any shape."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import orjson

from askonce.dialects.contract import Json
from askonce.model import Reason

DEEPEST = 200
"""Levels of nesting in a kept answer; orjson writes 254 (https://github.com/ijl/orjson#serialize)."""

_CONTAINERS = frozenset({dict, list})


def decode(text: str) -> Any:
    """Read JSON; every integer keeps all its digits. Raises ValueError for anything else."""
    try:
        # Not orjson: it reads integers beyond 64 bits as floats, which alters them. To look for
        # them first takes 14 us in an answer of 1.6 KB, ten times as long as reading it.
        return msgspec.json.decode(text)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deep") from error


def decode_object(text: str) -> Json | None:
    """Read a JSON object; None when the text is anything else."""
    try:
        value = decode(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def encode(value: Any) -> str:
    """Write what `decode` can read, every integer with all its digits."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return json.dumps(value, separators=(",", ":"))


def too_deep(value: Any) -> bool:
    """Say whether a JSON value is nested deeper than an answer that can be told again."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            item
            for outer in level
            for item in (outer.values() if type(outer) is dict else outer)
            if type(item) in _CONTAINERS
        ]
        if not level:
            return False
    return True


def text(value: Any) -> str:
    """Return a string as it is, and "" for anything else."""
    return value if isinstance(value, str) else ""


def said(value: Any) -> bool:
    """Say whether a value is text that is more than white space."""
    return isinstance(value, str) and not value.isspace() and value != ""


def record(value: Any) -> Json:
    """Return an object as it is, and an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """Return a list as it is, and an empty one for anything else."""
    return value if isinstance(value, list) else []


def prose(content: Any) -> str:
    """Return the text of a message's content, which is text or a list of parts."""
    if isinstance(content, str):
        return content
    return "\n".join(text(record(part).get("text")) for part in items(content))


def instructions(messages: Any) -> str:
    """Return the text of those messages in which the developer, not the user, speaks."""
    return "\n".join(
        prose(record(message).get("content"))
        for message in items(messages)
        if record(message).get("role") in ("system", "developer")
    )


def number(value: Any) -> float | None:
    """Return a number as a float (infinity when it is too large), None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def tokens(**counts: Any) -> dict[str, int]:
    """Keep the counts of tokens that a provider really gave."""
    return {
        name: count
        for name, count in counts.items()
        if isinstance(count, int) and not isinstance(count, bool) and count >= 0
    }


def server_tool(kind: Any) -> Reason:
    """The reason for a tool that the provider runs, or that askonce does not know."""
    named = f" ({kind})" if isinstance(kind, str) else ""
    return Reason(
        "server_tool",
        f"a tool{named} that the provider runs may look at the live world or change it; "
        "use a policy with effects=True to cache this call",
    )
