"""Keys: one digest of everything that can change an answer.

A key is a cryptographic digest, cut to 160 bits, over one canonical form of the whole request:
MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md) with
sorted maps. It is typed and says the length of everything, so no two different requests can read
as the same bytes. Map order never matters, list order does; 0 and 0.0 are one number; "1" and 1 are
not; text is never folded or trimmed. What two readers could take differently (NaN, integers beyond
64 bits, two equal names in one object, lone surrogates) has no key: `Ambiguous`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from operator import itemgetter
from typing import Any, NoReturn
from urllib.parse import SplitResult, parse_qsl, urlsplit

import msgspec
from blake3 import blake3

from askonce.dialects.contract import Dialect, Json
from askonce.errors import Ambiguous
from askonce.model import Headers, Request

VERSION = 1
"""Raised when the canonical form changes, so that old keys are never met by accident."""

LENGTH = 20

# Headers that say who calls, through what, or how it is traced, never what is asked. Every other
# header counts (`anthropic-beta`, `openai-organization`, ...).
NEUTRAL_HEADERS = frozenset(
    """
    accept accept-encoding accept-language api-key authorization b3 baggage cache-control
    connection content-length cookie date elastic-apm-traceparent forwarded idempotency-key
    keep-alive newrelic
    ocp-apim-subscription-key origin pragma priority proxy-authorization referer request-id
    sec-fetch-mode sentry-trace te traceparent tracestate transfer-encoding uber-trace-id upgrade
    user-agent via
    x-api-key x-client-request-id x-correlation-id x-forwarded-for x-forwarded-proto
    x-goog-api-client x-goog-api-key x-goog-user-project x-ms-client-request-id x-request-id
    x-server-timeout
    """.split()
)
NEUTRAL_HEADER_PREFIXES = ("x-stainless-", "x-b3-", "x-datadog-", "x-amzn-trace-", "x-cloud-trace-")

# A request without a content type is read as JSON in UTF-8 too. Any other type counts: in another
# charset the same bytes are another text.
_JSON_TYPES = frozenset({"application/json", "application/json;charset=utf-8"})

# Credentials some providers take in the query.
CREDENTIAL_QUERY = frozenset({"key", "api_key", "api-key", "access_token"})

_LONG = 12 * 1024
"""Bytes from which BLAKE3 is faster than SHA-256 in hardware. Measured: 4 KB 4.3 and 2.2 us, 64 KB
10.7 and 29.9. The length alone decides, so a request has one digest."""

_pack = msgspec.msgpack.Encoder(order="deterministic").encode
_FLOAT = b"\xcb"
_INSTANT = b"\xff"
"""The type of a MessagePack timestamp (-1), a byte that UTF-8 text never holds."""
_EXACT = 2**63
_PLAIN = frozenset({str, int, bool, type(None)})


def canonical(value: Any) -> bytes:
    """Write a JSON value in its one canonical form.

    Raises Ambiguous for what JSON cannot hold exactly, and for objects that are not JSON.
    """
    try:
        packed = _pack(value)
        # Only floats and points in time need a closer look, and neither is written without its
        # byte. The byte may also stand for something else; then the look was for nothing.
        if (_FLOAT in packed or _INSTANT in packed) and (depth := _depth_of_changes(value)):
            packed = _pack(_normal(value, depth - 1))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Ambiguous(f"not a JSON value that everybody reads alike: {error}") from error
    return packed


def digest(value: Any) -> bytes:
    """Digest a JSON value: 20 bytes. Raises Ambiguous where `canonical` does."""
    text = canonical(value)
    if len(text) < _LONG:
        return sha256(text).digest()[:LENGTH]
    return blake3(text).digest(LENGTH)


def _depth_of_changes(value: Any) -> int:
    """Say how deep `_normal` has to go: 1 for the value itself, 0 if it would change nothing.

    Most floats are a call's own parameters, and to copy its messages too takes twice as long.
    """
    deepest, depth = 0, 1
    level: list[Any] = [[value]]
    while level:
        inner = []
        for container in level:
            for item in container.values() if isinstance(container, dict) else container:
                if type(item) in _PLAIN:
                    continue
                if isinstance(item, (dict, list, tuple)):
                    inner.append(item)
                elif _normal(item, 0) is not item:
                    deepest = depth
        level, depth = inner, depth + 1
    return deepest


def _normal(value: Any, depth: int) -> Any:
    """Write whole floats as integers, down to a depth, so that 0 and 0.0 are one number."""
    kind = type(value)
    if kind is float:
        if not math.isfinite(value):
            raise Ambiguous("NaN and infinity are not JSON numbers")
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    # Not the exact type: the encoder writes an OrderedDict, or a named tuple, like any other.
    if depth and isinstance(value, dict):
        return {
            name: item if type(item) in _PLAIN else _normal(item, depth - 1)
            for name, item in value.items()
        }
    if depth and isinstance(value, (list, tuple)):
        return [item if type(item) in _PLAIN else _normal(item, depth - 1) for item in value]
    if isinstance(value, datetime):
        raise Ambiguous("a point in time reads differently in every time zone; write it as text")
    return value


def parse(body: bytes) -> Any:
    """Read JSON strictly. Raises Ambiguous where two parsers could read something else."""
    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_not_json,
            parse_float=_exact_float,
        )
    except (ValueError, RecursionError) as error:
        raise Ambiguous(f"the body is not JSON that everybody reads alike: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Ambiguous("an object has two members of one name")
    return members


def _not_json(text: str) -> NoReturn:
    raise Ambiguous(f"{text} is not a JSON number")


def _exact_float(text: str) -> float:
    value = float(text)
    try:
        exact = Decimal(text) == Decimal(repr(value))
    except InvalidOperation:  # an exponent beyond anything a decimal holds
        exact = False
    if not exact:
        raise Ambiguous(f"a 64-bit float does not hold {text[:40]} exactly")
    return value


def counting_headers(headers: Headers, place: str = "") -> list[list[str]]:
    """The headers that count, by name; those of one name in the order given.

    `place` is the URL's host and port: a Host header that says the same does not count.
    """
    return sorted(
        (
            [name, value]
            for name, value in headers
            if name not in NEUTRAL_HEADERS
            and not (name == "host" and value.lower() == place)
            and not name.startswith(NEUTRAL_HEADER_PREFIXES)
            and not (name == "content-type" and _is_json(value))
        ),
        key=itemgetter(0),
    )


def _is_json(content_type: str) -> bool:
    return content_type.replace(" ", "").lower() in _JSON_TYPES


def counting_url(url: str, dialect: Dialect) -> list[Any]:
    """The parts of a URL that count: where, which endpoint, which parameters."""
    parts = urlsplit(url)
    neutral = CREDENTIAL_QUERY | dialect.neutral_query
    # What is not UTF-8 stays told apart, and has no canonical form.
    query = parse_qsl(parts.query, keep_blank_values=True, errors="surrogateescape")
    return [
        parts.scheme.lower(),
        (parts.hostname or "").lower(),
        _port(parts),
        dialect.endpoint(parts.path),
        sorted(([name, value] for name, value in query if name not in neutral), key=itemgetter(0)),
    ]


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError as error:
        raise Ambiguous(f"the URL has no port that everybody reads alike: {error}") from error
    return port if port is not None else {"https": 443, "http": 80}.get(parts.scheme.lower(), 0)


def document(
    request: Request, dialect: Dialect, body: Json, *, tenant: str = "", model: str = ""
) -> Json:
    """Everything that counts in a request, as one JSON value.

    `model` is what a deployment's name stands for, where a setting says so.
    """
    return {
        "version": VERSION,
        "tenant": tenant,
        "dialect": dialect.name,
        "method": request.method,
        "url": counting_url(request.url, dialect),
        "headers": counting_headers(request.headers, urlsplit(request.url).netloc.lower()),
        "stands_for": model,
        "body": counting_body(body, dialect),
    }


def counting_body(body: Json, dialect: Dialect) -> Json:
    """The body without the fields proven neutral."""
    return {name: item for name, item in body.items() if name not in dialect.neutral}


def value_key(kind: str, arguments: Mapping[str, Any], *, tenant: str = "") -> bytes:
    """Key of a call that is not an HTTP request: a function's arguments, or `Cache.get`'s.

    Raises Ambiguous for anything that is not JSON itself, even if it could be written as such.
    """
    # First the key: it fails for what holds itself, which the check would walk for ever.
    key = digest([VERSION, tenant, kind, arguments])
    _check_json(arguments.values())
    return key


_SCALARS = frozenset({int, float, bool, type(None)})


def _check_json(members: Iterable[Any]) -> None:
    waiting = [members]
    for items in waiting:
        for item in items:
            kind = type(item)
            if kind is str:
                continue
            if kind is dict:
                waiting.append(item.values())
            elif kind is list or kind is tuple:
                waiting.append(item)
            elif kind not in _SCALARS:
                raise Ambiguous(f"a {kind.__qualname__} is not JSON; pass its text or number")


def difference(left: Any, right: Any, path: str = "") -> list[str]:
    """Name the places where two JSON values have other canonical forms, by path."""
    if isinstance(left, dict) and isinstance(right, dict):
        return [
            place
            for name in sorted({*left, *right})
            for place in (
                difference(left[name], right[name], f"{path}.{name}" if path else name)
                if name in left and name in right
                else [f"{path}.{name}" if path else name]
            )
        ]
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        pairs = enumerate(zip(left, right, strict=True))
        return [place for at, (a, b) in pairs for place in difference(a, b, f"{path}[{at}]")]
    return [] if canonical(left) == canonical(right) else [path]
