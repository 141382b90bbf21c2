"""Ordinary requests of every dialect, and what is like them: written another way, or changed.

Everything is drawn from a `Random`, so a seed tells it all.
"""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

HOSTS = ("https://api.openai.com", "http://one.test:8080", "http://two.test:8080")


@dataclass(frozen=True, slots=True)
class Sent:
    """One request to send. `kind` says what is odd about it."""

    kind: str
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a dialect lives, and an ordinary body of it."""

    path: str
    streams: str | None
    """The path of its streams, where that is another one."""
    body: Callable[[random.Random], Json]


WORDS = (
    "What is RAG?",
    "Is it?",
    "is it?",
    "caf\u00e9",
    "cafe\u0301",
    "0",
    "",
    " ",
    "Polish",
    "polish",
)


def _said(chance: random.Random) -> str:
    if chance.random() < 0.4:
        return chance.choice(WORDS)
    return "".join(
        chance.choices(string.printable + "\u00e9\u4e2d\U0001f600\u202e\0", k=chance.randrange(80))
    )


def _tool(chance: random.Random) -> Json:
    schema = {"type": "object", "properties": {_said(chance): {"type": "number"}}}
    return {"type": "function", "function": {"name": "look", "parameters": schema}}


def _some(chance: random.Random, **members: Any) -> Json:
    return {name: value for name, value in members.items() if chance.random() < 0.3}


def _common(chance: random.Random) -> Json:
    return _some(
        chance,
        top_p=chance.choice((1, 0.5, 0.1)),
        stream=chance.choice((True, False)),
        user=_said(chance),
        metadata={"a": _said(chance)},
        seed=chance.randrange(3),
        stop=["x"],
    )


def _chat(chance: random.Random) -> Json:
    turns = [{"role": "user", "content": _said(chance)} for _ in range(chance.randrange(1, 4))]
    more = _some(
        chance,
        n=1,
        logit_bias={"50256": -100},
        stream_options={"include_usage": chance.choice((True, False))},
        tools=[_tool(chance)],
        guided_json={"type": "object"},
        max_tokens=16,
    )
    return {"model": "gpt-4o", "temperature": 0, "messages": turns, **_common(chance), **more}


def _responses(chance: random.Random) -> Json:
    more = _some(chance, instructions=_said(chance), reasoning={"effort": "low"}, store=False)
    return {"model": "gpt-5", "input": _said(chance), **_common(chance), **more}


def _messages(chance: random.Random) -> Json:
    more = _some(chance, system=_said(chance), thinking={"type": "disabled"}, top_k=1)
    turns = [{"role": "user", "content": [{"type": "text", "text": _said(chance)}]}]
    fixed = {"model": "claude-3-5-haiku-latest", "max_tokens": 16, "temperature": 0}
    return {**fixed, "messages": turns, **_common(chance), **more}


def _completions(chance: random.Random) -> Json:
    fixed = {"model": "gpt-3.5-turbo-instruct", "temperature": 0}
    return {**fixed, "prompt": _said(chance), **_common(chance), **_some(chance, suffix="x")}


def _embeddings(chance: random.Random) -> Json:
    inputs = [_said(chance) for _ in range(chance.randrange(1, 5))]
    given = inputs[0] if chance.random() < 0.4 else inputs
    return {"model": "text-embedding-3-small", "input": given, **_some(chance, dimensions=8)}


def _gemini(chance: random.Random) -> Json:
    contents = [{"role": "user", "parts": [{"text": _said(chance)}]}]
    settings = {"temperature": 0, **_some(chance, topK=1, candidateCount=1)}
    return {"contents": contents, "generationConfig": settings}


_MODEL = "/v1beta/models/gemini-2.0-flash"
ENDPOINTS = (
    Endpoint("/v1/chat/completions", None, _chat),
    Endpoint("/v1/responses", None, _responses),
    Endpoint("/v1/messages", None, _messages),
    Endpoint("/v1/completions", None, _completions),
    Endpoint("/v1/embeddings", None, _embeddings),
    Endpoint(f"{_MODEL}:generateContent", f"{_MODEL}:streamGenerateContent", _gemini),
)


def posted(kind: str, url: str, body: bytes, *headers: tuple[str, str]) -> Sent:
    """Make a request as a client would send it."""
    typed = any(name == "content-type" for name, _ in headers)
    plain = () if typed else (("content-type", "application/json"),)
    return Sent(kind, "POST", url, (("authorization", "Bearer k"), *plain, *headers), body)


def dumped(value: Any) -> bytes:
    """Write JSON as the SDKs do."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def rewritten(chance: random.Random, value: Any) -> bytes:
    """Write the same JSON with other spaces, escapes, member order and zeros."""
    return _rewritten(chance, value).encode("utf-8")


def _rewritten(chance: random.Random, value: Any) -> str:
    space = chance.choice(("", " ", "\n\t", "\r\n"))
    if isinstance(value, dict):
        pairs = [
            f"{json.dumps(name)}{space}:{_rewritten(chance, item)}" for name, item in value.items()
        ]
        chance.shuffle(pairs)
        return "{" + f",{space}".join(pairs) + space + "}"
    if isinstance(value, list):
        return "[" + f"{space},".join(_rewritten(chance, item) for item in value) + "]"
    if value == 0 and not isinstance(value, bool):
        return chance.choice(("0", "0.0", "0e0", "-0", "-0.0", "0E+5"))
    if type(value) is int:
        return chance.choice((str(value), f"{value}.0", f"{value}e0", f"{value}.000"))
    if isinstance(value, str) and chance.random() < 0.5:
        return '"' + "".join(_escaped(chance, letter) for letter in value) + '"'
    return json.dumps(value, ensure_ascii=chance.random() < 0.5)


def _escaped(chance: random.Random, letter: str) -> str:
    if chance.random() < 0.7:
        return json.dumps(letter, ensure_ascii=False)[1:-1]
    units = letter.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02X}" for at in range(0, len(units), 2))


def places(value: Any) -> list[tuple[Any, Any]]:
    """List every member and entry: what holds it, and its name or number there."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        names = range(len(holder)) if isinstance(holder, list) else list(holder)
        found += [(holder, name) for name in names]
        waiting += [holder[name] for name in names if isinstance(holder[name], dict | list)]
    return found


def anything(chance: random.Random) -> Any:
    """Make a JSON value of any type."""
    return chance.choice(
        (None, True, False, 0, 1, -1, 0.5, 2**53 + 1, 2**63, 10**30, "", "0", "null", "\0", [], {},
         [None], [[]], {"": None}, {"type": 1}, [{"type": "text"}], "x" * 2000, [0] * 50, -1e308)
    )  # fmt: skip


def changed(chance: random.Random, body: Json) -> Json:
    """Copy a body with one small change of meaning, or a member more."""
    copy: Json = json.loads(json.dumps(body))
    holder, name = chance.choice(places(copy))
    value = holder[name]
    if chance.random() < 0.2:
        copy[chance.choice(("num_ctx", "safety_settings", "", "later"))] = anything(chance)
    elif isinstance(value, str):
        holder[name] = chance.choice((value + " ", value.swapcase(), value[1:], value + "\u0301"))
    elif isinstance(value, bool):
        holder[name] = not value
    elif isinstance(value, int | float):
        holder[name] = chance.choice((value + 1, -value, str(value), value + 2**-30, bool(value)))
    elif isinstance(value, list) and len(value) > 1:
        holder[name] = value[::-1]
    else:
        holder[name] = None
    return copy


def mistyped(chance: random.Random, body: Json) -> Json:
    """Copy a body with one to three members of any type."""
    copy: Json = json.loads(json.dumps(body))
    for _ in range(chance.randrange(1, 4)):
        holder, name = chance.choice(places(copy) or [(copy, "model")])
        holder[name] = anything(chance)
    return copy


def huge(url: str, size: int) -> Sent:
    """Make a request of so many bytes."""
    start = b'{"model":"gpt-4o","temperature":0,"messages":[{"role":"user","content":"'
    end = b'"}]}'
    kind = f"{size / 1e6:.1f} MB"
    return posted(kind, url, start + b"x" * (size - len(start) - len(end)) + end)
