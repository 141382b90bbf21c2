"""Where two requests differ, and which of the differences count. Pure."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from itertools import zip_longest
from typing import Any

from askonce import keys
from askonce.commands.request_files import Asked
from askonce.commands.terminal import visible
from askonce.dialects.contract import Json
from askonce.errors import Ambiguous


class Missing(Enum):
    """Stands where one side has nothing."""

    MISSING = "missing"


MISSING = Missing.MISSING

CREDENTIALS = keys.NEUTRAL_HEADERS & {
    "authorization", "api-key", "cookie", "ocp-apim-subscription-key", "proxy-authorization",
    "x-api-key", "x-goog-api-key",
}  # fmt: skip
"""Headers whose values are nobody's to see."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two requests differ. `counts` says whether it makes another key."""

    path: str
    left: Any
    right: Any
    counts: bool


def differences(left: Asked, right: Asked) -> list[Difference]:
    """List all places where two requests differ: URL, headers, body."""
    return [*_of_url(left, right), *_of_headers(left, right), *_of_body(left, right)]


def _of_url(left: Asked, right: Asked) -> Iterator[Difference]:
    if left.request.method != right.request.method:
        yield Difference("method", left.request.method, right.request.method, counts=True)
    if left.request.url != right.request.url:
        same = left.dialect is not None and left.dialect is right.dialect
        counts = not same or _counting_url(left) != _counting_url(right)
        yield Difference("url", left.request.url, right.request.url, counts)


def _counting_url(asked: Asked) -> Any:
    return asked.dialect and keys.counting_url(asked.request.url, asked.dialect)


def _of_headers(left: Asked, right: Asked) -> Iterator[Difference]:
    ours, theirs = _headers(left), _headers(right)
    for name in sorted({*ours, *theirs}):
        one, other = ours.get(name, MISSING), theirs.get(name, MISSING)
        if one != other:
            counts = _counting(left, name) != _counting(right, name)
            hidden = name in CREDENTIALS
            yield Difference(
                f"headers.{name}",
                "(hidden)" if hidden and one is not MISSING else one,
                "(hidden)" if hidden and other is not MISSING else other,
                counts,
            )


def _headers(asked: Asked) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for name, value in asked.request.headers:
        found.setdefault(name, []).append(value)
    return {name: ", ".join(values) for name, values in found.items()}


def _counting(asked: Asked, name: str) -> list[list[str]]:
    return keys.counting_headers(tuple(pair for pair in asked.request.headers if pair[0] == name))


def _of_body(left: Asked, right: Asked) -> Iterator[Difference]:
    known = [asked.dialect for asked in (left, right) if asked.dialect is not None]
    for name in sorted({*left.body, *right.body}):
        neutral = len(known) == 2 and all(name in dialect.neutral for dialect in known)
        one, other = left.body.get(name, MISSING), right.body.get(name, MISSING)
        for found in walk(one, other, f"body.{name}"):
            yield replace(found, counts=found.counts and not neutral)
    yield from _of_order(left.body, right.body, "body")


def walk(left: Any, right: Any, path: str) -> Iterator[Difference]:
    """Go down two JSON values, and name each place where they are not written alike.

    What has one canonical form, such as 1 and 1.0, does not count.
    """
    if isinstance(left, dict) and isinstance(right, dict):
        for name in sorted({*left, *right}):
            below = f"{path}.{name}"
            yield from walk(left.get(name, MISSING), right.get(name, MISSING), below)
        yield from _of_order(left, right, path)
    elif isinstance(left, list) and isinstance(right, list):
        for at, (one, other) in enumerate(zip_longest(left, right, fillvalue=MISSING)):
            yield from walk(one, other, f"{path}[{at}]")
    elif type(left) is not type(right) or left != right:
        yield Difference(path, left, right, counts=not _are_one(left, right))


def _of_order(left: Json, right: Json, path: str) -> Iterator[Difference]:
    if left.keys() == right.keys() and list(left) != list(right):
        yield Difference(f"{path} (order)", list(left), list(right), counts=False)


def _are_one(left: Any, right: Any) -> bool:
    if left is MISSING or right is MISSING:
        return False
    try:
        return keys.canonical(left) == keys.canonical(right)
    except Ambiguous:
        return False


def shown(value: Any, beside: Any, room: int) -> str:
    """Write a value in so many columns; of a long text, the part that differs from the other."""
    if value is MISSING:
        return "-"
    escaped = unicodedata.normalize("NFC", str(value)) == unicodedata.normalize("NFC", str(beside))
    text = visible(json.dumps(value, ensure_ascii=escaped))
    if len(text) > room and isinstance(beside, type(value)):
        other = visible(json.dumps(beside, ensure_ascii=escaped))
        same = next((at for at, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), 0)
        # Some letters before the place where they part, for people to find it.
        start = min(max(0, same - room // 3), len(text) - room + 1)
        text = f"…{text[start:]}" if start > 0 else text
    return text
