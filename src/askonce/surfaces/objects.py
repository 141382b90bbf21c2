"""What `Cache.put` is given and `Cache.get` returns: JSON, or objects of the official SDKs."""

from __future__ import annotations

import importlib
from typing import Any

import orjson

from askonce import keys
from askonce.errors import Ambiguous

# Only these are built from a name in an entry: classes that do nothing but hold fields.
_KNOWN = ("openai.types.", "anthropic.types.")


def write(response: Any) -> bytes:
    """Write a response. Raises TypeError for what is neither JSON nor an SDK object."""
    kind = type(response)
    if _class(kind.__module__, kind.__qualname__) is kind:
        value = response.to_dict(mode="json")
        return _dump({"value": value, "module": kind.__module__, "class": kind.__qualname__})
    try:
        keys.value_key("response", {"value": response})  # only to refuse what is not JSON
        return _dump({"value": response})
    except (Ambiguous, TypeError) as error:
        raise TypeError(
            f"this {kind.__qualname__} cannot be kept: put JSON or an OpenAI or Anthropic object"
        ) from error


def _dump(stored: dict[str, Any]) -> bytes:
    # A copy: orjson writes into 8 KB and cuts it short, and the cut-off rest of a kept text is a
    # hole that no next one fits in (8.3 KB of memory for 1.6 KB of text; as a copy 1.7).
    return bytes(memoryview(orjson.dumps(stored)))


def read(body: bytes) -> Any:
    """Read a response back."""
    stored = orjson.loads(body)
    module = stored.get("module")
    if module is None:
        return stored["value"]
    kind = _class(module, stored["class"])
    return None if kind is None else kind.construct(**stored["value"])


def _class(module: str, name: str) -> Any:
    """Return an SDK's class; None for one that is not there, or made for one answer of a parse."""
    if not f"{module}.".startswith(_KNOWN):
        return None
    try:
        kind = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None
    return kind if hasattr(kind, "to_dict") else None
