"""The vocabulary of a fake upstream's script: what it was asked, and what it is to answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request as it arrived. Header names are in lower case."""

    number: int
    """Counts from 1 and is never reset; ids in the answer carry it."""
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body read as JSON; None when it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of the caller's tool. `arguments` is text and may be broken JSON."""

    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, counted as OpenAI does: input includes the cached, output the reasoning."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """What the model says. Each dialect writes it in its own words."""

    text: str | None = None
    """None is the default text, unless there are tool calls or a refusal."""
    reasoning: str | None = None
    """Empty lines part it into several summaries where a dialect has them."""
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: str | None = None
    finish_reason: str | None = None
    """stop, length, content_filter or tool_calls, put into the dialect's word; any other word is
    sent as it is. None is what the message implies."""
    logprobs: tuple[float, ...] = ()
    """Of the first tokens, the rest is made up. Given, they are sent even if nobody asked."""


@dataclass(frozen=True, slots=True)
class Reply(Message):
    """A message and how it travels: late, slowly, cut short, as an error, or as raw bytes."""

    choices: tuple[Message, ...] = ()
    """Several messages, in place of this one."""
    usage: Usage | None = None
    """None counts words."""
    status: int = 200
    """From 400 on the body is an error in the provider's shape. 0 drops the connection unanswered.
    429 also sends `retry-after`."""
    error: str | None = None
    """The message of the error. With status 200: the error that ends a stream, after
    `cut_after` frames or after all."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Added to the provider's, or in their place."""
    delay: float = 0.0
    """Seconds before the first byte."""
    pause: float = 0.0
    """Seconds between the frames of a stream."""
    cut_after: int | None = None
    """Drop the connection after this many frames; a whole body is one frame."""
    cut_cleanly: bool = False
    """End a cut stream as HTTP asks, so that only its terminal event is missing."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields the SDKs do not know, added to every object the provider writes."""
    raw: bytes | tuple[bytes, ...] | None = None
    """The body, byte for byte; a tuple is sent as the frames of a stream."""
    content_type: str = "application/json"
    """Of `raw`."""


Script: TypeAlias = Callable[[RecordedRequest], Reply | None]
"""Answers a request; None is the default answer. It runs on the request's own thread, so it may
wait for an event of the test."""


def in_turn(*replies: Reply | None) -> Script:
    """Give these replies one after another, then the default answer."""
    waiting = iter(replies)
    lock = threading.Lock()

    def script(request: RecordedRequest) -> Reply | None:  # noqa: ARG001 (a Script is given it)
        with lock:
            return next(waiting, None)

    return script
