"""Request bodies as a bad day, a bad client or an attacker would send them.

A family is one ordinary request, the same one written another way, its nearest neighbours, and
hostile bodies made from it that must not be taken for one another.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Iterator
from typing import TypeAlias

from hostile_requests import (
    ENDPOINTS,
    HOSTS,
    Json,
    Sent,
    anything,
    changed,
    dumped,
    mistyped,
    posted,
    rewritten,
)

Maker: TypeAlias = Callable[[random.Random, str, Json], Iterator[Sent]]


def _with_raw(body: Json, *members: str) -> bytes:
    """Write a body with more members, given as text."""
    return b"{" + ",".join([dumped(body).decode()[1:-1], *members]).encode("utf-8") + b"}"


def _of_texts(kind: str, texts: tuple[str, ...]) -> Maker:
    """Make bodies that differ in the text of one member, in a field known or unknown."""

    def make(chance: random.Random, url: str, body: Json) -> Iterator[Sent]:
        name = chance.choice(("seed", "later", "top_p", "metadata2"))
        rest = {key: value for key, value in body.items() if key != name}
        for text in chance.sample(texts, min(3, len(texts))):
            yield posted(kind, url, _with_raw(rest, f'"{name}":{text}'))

    return make


def _of_bodies(kind: str, bodies: tuple[bytes, ...]) -> Maker:
    """Make bodies that are given, with an ordinary one in place of BODY."""

    def make(chance: random.Random, url: str, body: Json) -> Iterator[Sent]:
        for raw in chance.sample(bodies, 3):
            yield posted(kind, url, raw.replace(b"BODY", dumped(body)))

    return make


def _long_integers(chance: random.Random, url: str, body: Json) -> Iterator[Sent]:
    digits = str(chance.randrange(10**28, 10**29))
    for last in chance.sample(range(10), 3):
        yield posted("two 30-digit integers", url, _with_raw(body, f'"later":{digits}{last}'))


def _duplicates(chance: random.Random, url: str, body: Json) -> Iterator[Sent]:
    name = chance.choice(list(body))
    value, other = dumped(body[name]).decode(), dumped(anything(chance)).decode()
    twice = chance.choice((name, "".join(f"\\u{ord(letter):04x}" for letter in name)))
    yield posted("two members of one name", url, _with_raw(body, f'"{twice}":{other}'))
    rest = {key: item for key, item in body.items() if key != name}
    reverse = f'"{name}":{other},"{twice}":{value}'
    yield posted("two members of one name", url, _with_raw(rest, reverse))
    yield posted("two members of one name", url, _with_raw(body, '"a":{"b":1,"b":2}'))


def _charsets(chance: random.Random, url: str, body: Json) -> Iterator[Sent]:
    text = dumped(body).decode()
    for charset in chance.sample(("latin-1", "utf-16", "utf-32", "cp037", "utf-8-sig", "utf-7"), 3):
        raw = text.encode(charset, "replace")
        named = chance.choice(
            (f"application/json; charset={charset}", "application/json", "text/plain")
        )
        yield posted("wrong charset", url, raw, ("content-type", named))
    for named in ("application/json;charset=latin-1", "application/json; charset=UTF-8", ""):
        yield posted("wrong charset", url, dumped(body), ("content-type", named))


def _nested(chance: random.Random, url: str, body: Json) -> Iterator[Sent]:
    depth = chance.choice((50, 200, 253, 254, 255, 400, 900, 990, 1500, 100_000))
    for inside in ("1", "2"):
        deep = "[" * depth + inside + "]" * depth
        yield posted("deep nesting", url, _with_raw(body, f'"later":{deep}'))
    objects = '{"a":' * depth + "1" + "}" * depth
    yield posted("deep nesting", url, _with_raw(body, f'"later":{objects}'))


def _cut(chance: random.Random, url: str, body: Json) -> Iterator[Sent]:
    raw = dumped(body)
    yield posted("cut short", url, raw[: chance.randrange(len(raw))])
    noisy = bytearray(raw)
    for _ in range(chance.randrange(1, 6)):
        noisy[chance.randrange(len(noisy))] = chance.randrange(256)
    yield posted("noise within", url, bytes(noisy))
    yield posted("noise alone", url, chance.randbytes(chance.randrange(2000)))


def _crowded(chance: random.Random, url: str, body: Json) -> Iterator[Sent]:
    names = {f"member {number}": number for number in range(chance.randrange(1000, 20_000))}
    yield posted("very many members", url, dumped({**body, "later": names}))
    names["member 7"] = 8
    yield posted("very many members", url, dumped({**body, "later": names}))
    yield posted("a very long name", url, dumped({**body, "x" * 10**6: 1}))


def _packed(chance: random.Random, url: str, body: Json) -> Iterator[Sent]:
    raw = rewritten(chance, body)
    yield posted("a packed body", url, gzip.compress(raw), ("content-encoding", "gzip"))
    yield posted("a packed body", url, raw, ("content-encoding", "gzip"))
    yield posted("a packed body", url, gzip.compress(raw + b" " * 10**6))


def _headers(chance: random.Random, url: str, body: Json) -> Iterator[Sent]:
    name = chance.choice(("anthropic-beta", "openai-organization", "x-later", "content-language"))
    for value in ("a", "A", "a, b", "b, a"):
        yield posted("headers", url, dumped(body), (name, value))
    yield posted("headers", url, dumped(body), (name, "a"), (name, "b"))
    yield posted("headers", url, dumped(body), (f"{name}-a", "b"))
    yield posted("headers", url, dumped(body), ("x-stainless-retry-count", str(chance.random())))


def _addresses(chance: random.Random, url: str, body: Json) -> Iterator[Sent]:
    mark = "&" if "?" in url else "?"
    for tail in (
        "a=1",
        "a=1&a=2",
        "a=2&a=1",
        "a=1%26b=2",
        "a=1&b=2",
        "b=2&a=1",
        "a=%FF",
        "a",
        "a=",
    ):
        yield posted("addresses", f"{url}{mark}{tail}", dumped(body))
    yield posted("addresses", url.replace("/v1", "//v1"), dumped(body))
    yield posted("addresses", url.replace("/v1", "/%76%31"), dumped(body))
    yield posted("addresses", f"{url}{mark}key={chance.random()}", dumped(body))
    sent = posted("addresses", url, dumped(body))
    yield Sent(sent.kind, chance.choice(("PUT", "GET", "post")), url, sent.headers, sent.body)


_TEXTS: dict[str, tuple[str, ...]] = {
    "NaN beside null": ("NaN", "null", "Infinity", "-Infinity", '"NaN"', "nan"),
    "huge numbers": (
        "1e999", "1e998", "-1e999", "1e-999", "0", "1e99999999999999999999", "9" * 5000,
        "9" * 4999 + "8",
    ),
    "near numbers": (
        "0.1", "0.10000000000000000555", "0.10000000000000001", "0.1000", "1e-1",
        "9007199254740993", "9007199254740992", "9007199254740993.0", "9007199254740992.0",
    ),
    "the edges of 64 bits": (
        "9223372036854775807", "9223372036854775808", "9223372036854775809",
        "9223372036854775807.0", "9223372036854775808.0", "-9223372036854775808",
        "-9223372036854775809", "-9223372036854775808.0", "18446744073709551615",
        "18446744073709551616", "18446744073709551616.0",
    ),
    "one and its doubles": ("1", '"1"', "true", "[1]", "1.0", '"1.0"', "1.5", '{"1":1}'),
    "lone surrogates": (
        r'"\ud800"', r'"\udfff"', r'"\ud800\ud800"', r'"\udc00\ud800"', r'"\ufffd"', '"?"',
        r'{"\ud800":1}',
    ),
    "escapes": (
        r'"\u0000"', r'"\\u0000"', r'"\/"', '"/"', r'"\ud83d\ude00"', '"\U0001f600"',
        r'"\u00e9"', r'"e\u0301"',
    ),
    "stream": tuple(
        f'1,"stream":{text}' for text in ("true", "false", '"true"', "1", "null", "[]")
    ),
}  # fmt: skip

_BODIES: dict[str, tuple[bytes, ...]] = {
    "no object": (b"", b" ", b"null", b"[]", b"[BODY]", b'"BODY"', b"0", b"a=1&b=2", b"<a/>"),
    "more than an object": (
        b"BODY BODY", b"BODY\nBODY", b"BODY,", b"\xef\xbb\xbfBODY", b"\0BODY", b"BODY\0",
        b"/**/BODY", b"BODY//", b"\x1eBODY", b"\x0bBODY", b"\xc2\xa0BODY",
    ),
    "nearly JSON": (
        b"{'a':1}", b'{"a":1,}', b'{"a":01}', b'{"a":.5}', b'{"a":+1}', b'{"a":"\n"}',
        b'{"a":"\x7f\xff"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xc0\x80"}',
    ),
}  # fmt: skip

HOSTILE: dict[str, Maker] = {
    **{kind: _of_texts(kind, texts) for kind, texts in _TEXTS.items()},
    **{kind: _of_bodies(kind, bodies) for kind, bodies in _BODIES.items()},
    "two 30-digit integers": _long_integers,
    "two members of one name": _duplicates,
    "wrong charset": _charsets,
    "deep nesting": _nested,
    "cut short": _cut,
    "very many members": _crowded,
    "a packed body": _packed,
    "headers": _headers,
    "addresses": _addresses,
}


def family(chance: random.Random, hosts: tuple[str, ...] = HOSTS) -> Iterator[Sent]:
    """Make one ordinary request and what is like it, all to one endpoint."""
    endpoint = chance.choice(ENDPOINTS)
    url = chance.choice(hosts) + endpoint.path
    if endpoint.streams is not None and chance.random() < 0.5:
        url = url.replace(endpoint.path, f"{endpoint.streams}?alt=sse")
    body = endpoint.body(chance)
    yield posted("ordinary", url, dumped(body))
    yield posted("written another way", url, rewritten(chance, body))
    yield posted("one change", url, dumped(changed(chance, body)))
    yield posted("a wrong type", url, dumped(mistyped(chance, body)))
    yield from HOSTILE[chance.choice(tuple(HOSTILE))](chance, url, body)
