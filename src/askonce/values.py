"""Python values as JSON and back: arguments for keys, results for entries."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import re
import uuid
from pathlib import PurePath
from typing import Any

import msgspec

from askonce.errors import Ambiguous

_PLAIN = (str, int, bool, type(None))
_TOLD_BY_TYPE = (
    datetime.datetime, datetime.date, datetime.time, datetime.timedelta,
    decimal.Decimal, uuid.UUID, bytes,
)  # fmt: skip

_pack = msgspec.msgpack.Encoder(order="deterministic").encode


def argument(value: Any) -> Any:
    """Write an argument for a key. Types are told apart: 1 is not 1.0, a list not a tuple.

    Every list, map and object is marked as such, so no argument can read as another. Raises
    Ambiguous for what has no value.
    """
    try:
        return _argument(value)
    except (TypeError, ValueError, OverflowError, AttributeError, RecursionError) as error:
        raise Ambiguous(str(error)) from error


def _argument(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is float:
        return ["float", repr(value)]
    if kind is list or kind is tuple:
        return [kind.__name__, *map(_argument, value)]
    if kind is dict:
        pairs = [[_argument(name), _argument(item)] for name, item in value.items()]
        return ["map", *sorted(pairs, key=_pack)]
    if kind is set or kind is frozenset:
        return [kind.__name__, *sorted(map(_argument, value), key=_pack)]
    return ["object", _name(kind), *_held(kind, value)]


def _held(kind: Any, value: Any) -> list[Any]:
    if isinstance(value, enum.Enum):
        return [value.name]
    if kind in _TOLD_BY_TYPE:
        return [_told(value)]
    if isinstance(value, PurePath):
        return [str(value)]
    if kind is re.Pattern:
        return [_argument(value.pattern), value.flags]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return [_argument(fields | getattr(value, "__dict__", {}))]
    if hasattr(kind, "__pydantic_fields__"):
        # Not `model_dump`: it leaves out what a subclass adds, and what is private or excluded.
        held = (value.__dict__, value.__pydantic_extra__, value.__pydantic_private__)
        return [_argument(part) for part in held]
    raise Ambiguous(
        f"an argument of type {kind.__qualname__} has no value that a key could hold; "
        "pass JSON, dataclasses or pydantic models"
    )


def _told(value: Any) -> Any:
    # A date without its zone's name would be one with an equal offset.
    zone = getattr(value, "tzinfo", None)
    told = msgspec.to_builtins(value)
    return told if zone is None else [told, str(zone)]


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
        return type(twin) is type(value) and bool(argument(twin) == argument(value))
    except Exception:  # noqa: BLE001 (a result's own code may raise anything; then it is not kept)
        return False


def _encode_model(value: Any) -> Any:
    if hasattr(type(value), "__pydantic_fields__"):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    raise TypeError(f"{type(value).__qualname__} cannot be written as JSON")


def _decode_model(kind: type, data: Any) -> Any:
    if hasattr(kind, "__pydantic_fields__"):
        return kind.model_validate(data)  # type: ignore[attr-defined]
    raise TypeError(f"{kind.__qualname__} cannot be read from JSON")
