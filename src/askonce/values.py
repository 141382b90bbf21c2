"""Python values as JSON and back: arguments for keys, results for entries. No pickle."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from typing import Any

import msgspec
import orjson

from askonce.errors import Ambiguous

_PLAIN = (str, int, float, bool, type(None))
_TOLD_BY_TYPE = (
    datetime.datetime, datetime.date, datetime.time, datetime.timedelta,
    decimal.Decimal, uuid.UUID, bytes, enum.Enum,
)  # fmt: skip


def argument(value: Any) -> Any:
    """Write an argument for a key. Types are told apart; raises Ambiguous for what has no value.

    Every list, map and object is marked as such, so no argument can read as another.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list or kind is tuple:
        return ["list", *map(argument, value)]
    if kind is dict:
        pairs = [[argument(name), argument(item)] for name, item in value.items()]
        return ["map", *sorted(pairs, key=orjson.dumps)]
    if kind is set or kind is frozenset:
        return ["set", *sorted(map(argument, value), key=orjson.dumps)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return ["object", _name(kind), argument(fields)]
    if hasattr(kind, "__pydantic_fields__"):
        return ["object", _name(kind), argument(value.model_dump(mode="json"))]
    if isinstance(value, _TOLD_BY_TYPE):
        return ["object", _name(kind), msgspec.to_builtins(value, str_keys=True)]
    raise Ambiguous(
        f"an argument of type {kind.__qualname__} has no value that a key could hold; "
        "pass JSON, dataclasses or pydantic models"
    )


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def write(value: Any) -> bytes:
    """Write a result as JSON text. Raises TypeError or ValueError for what cannot be written."""
    return msgspec.json.encode(value, enc_hook=_encode_model)


def read(text: bytes, annotation: Any) -> Any:
    """Read a result back as its annotated type; without one, as JSON."""
    return msgspec.json.decode(text, type=annotation, dec_hook=_decode_model, strict=False)


def keeps_shape(value: Any, text: bytes, annotation: Any) -> bool:
    """Say whether a result, read back, is what it was: a hit must not differ from a miss."""
    try:
        twin = read(text, annotation)
    except (msgspec.ValidationError, TypeError, ValueError):
        return False
    return type(twin) is type(value) and bool(twin == value)


def _encode_model(value: Any) -> Any:
    if hasattr(type(value), "__pydantic_fields__"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__qualname__} cannot be written as JSON")


def _decode_model(kind: type, data: Any) -> Any:
    if hasattr(kind, "__pydantic_fields__"):
        return kind.model_validate(data)  # type: ignore[attr-defined]
    raise TypeError(f"{kind.__qualname__} cannot be read from JSON")
