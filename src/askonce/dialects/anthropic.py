"""Anthropic's messages.

Reference: https://platform.claude.com/docs/en/api/messages and
https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from askonce.dialects import anthropic_events, flaws, questions
from askonce.dialects.contract import Dialect, Facts, Json
from askonce.dialects.wire import (
    decode_object,
    items,
    number,
    prose,
    record,
    said,
    server_tool,
    text,
    tokens,
    too_deep,
)
from askonce.frames import Event
from askonce.model import NOTHING, Reason, Usage

# `speed`, `inference_geo`, `cache_control`, `diagnostics` and `fallback_credit_token` count: they
# may choose another machine, or show in the answer.
NEUTRAL = frozenset(
    {
        "stream",  # the same answer in pieces
        "metadata",  # names the end user for abuse reports
        "service_tier",  # how soon and at what price
    }
)

# Tools that the caller runs itself, by the beginning of their dated names.
_CLIENT_TOOLS = ("bash_", "text_editor_", "computer_", "memory_")

_THREAD = Reason(
    "conversation", "the conversation lives on the server; send all of it as messages to cache it"
)
_GOOD = frozenset({"end_turn", "stop_sequence", "tool_use"})


def _matches(path: str) -> bool:
    # OpenAI's assistants have a path that ends in /threads/ID/messages.
    return path.endswith("/v1/messages")


def _facts(_path: str, body: Json) -> Facts:
    return Facts(
        model=text(body.get("model")),
        stream=body.get("stream") is True,
        temperature=number(body.get("temperature")),
        effect=_effect(body),
    )


def _pinned(body: Json) -> Json | None:
    # Beside these the API takes no temperature, or none but 1:
    # https://docs.claude.com/en/docs/build-with-claude/extended-thinking
    said = any(body.get(name) is not None for name in ("temperature", "thinking", "top_p", "top_k"))
    return None if said else {**body, "temperature": 0}


def _effect(body: Json) -> Reason | None:
    if body.get("thread") is not None:
        return _THREAD
    for name in ("container", "mcp_servers"):
        if body.get(name) not in (None, []):
            return server_tool(name)
    tools = body.get("tools")
    if tools is not None and not isinstance(tools, list):
        return server_tool(None)
    for tool in items(tools):
        kind = record(tool).get("type") if isinstance(tool, dict) else "unknown"
        if kind not in (None, "custom") and not text(kind).startswith(_CLIENT_TOOLS):
            return server_tool(kind)
    return None


# Whether an answer is worth keeping


def _flaw(answer: Json) -> Reason | None:
    if answer.get("error") or answer.get("type") == "error":
        return flaws.ERROR
    content = answer.get("content")
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        return flaws.MALFORMED
    flaw = _stop_flaw(answer.get("stop_reason"))
    if flaw is not None:
        return flaw
    if not all(map(_is_sound, content)):
        return flaws.BROKEN_TOOL_CALL
    if not any(map(_holds_answer, content)):
        return flaws.EMPTY
    return flaws.MALFORMED if too_deep(answer) else None


def _stop_flaw(reason: Any) -> Reason | None:
    if reason in (None, "", "pause_turn"):
        return flaws.UNFINISHED
    if reason in ("max_tokens", "model_context_window_exceeded"):
        return flaws.TRUNCATED
    if reason == "refusal":
        return flaws.REFUSED
    good = isinstance(reason, str) and reason in _GOOD
    return None if good else flaws.unknown_finish(reason)


def _is_sound(block: Json) -> bool:
    if block.get("type") != "tool_use":
        return True
    return said(block.get("name")) and isinstance(block.get("input"), dict)


def _holds_answer(block: Json) -> bool:
    kind = block.get("type")
    if kind == "text":
        return said(block.get("text"))
    return isinstance(kind, str) and kind not in ("thinking", "redacted_thinking")


# Streams


def _whole(stream: Sequence[Event]) -> Json | None:
    return anthropic_events.whole(stream)


def _events(answer: Json, _facts: Facts) -> Iterable[Event]:
    return anthropic_events.told(answer)


def _terminal(event: Event) -> bool:
    if event.name is not None:
        return event.name == "message_stop"
    found = '"message_stop"' in event.data and decode_object(event.data)
    return record(found).get("type") == "message_stop"


def _usage(answer: Json) -> Usage:
    """Count what was read from and written to the prompt cache as input, as the reference does."""
    counted = record(answer.get("usage"))
    cached = tokens(
        written=counted.get("cache_creation_input_tokens"),
        read=counted.get("cache_read_input_tokens"),
    )
    plain = tokens(input=counted.get("input_tokens"), output=counted.get("output_tokens"))
    if len(plain) < 2:
        return NOTHING
    sent = plain["input"] + sum(cached.values())
    return {"input": sent, "output": plain["output"], "total": sent + plain["output"]}


MESSAGES = Dialect(
    name="anthropic.messages",
    matches=_matches,
    facts=_facts,
    flaw=_flaw,
    whole=_whole,
    events=_events,
    neutral=NEUTRAL,
    terminal=_terminal,
    pinned=_pinned,
    question=questions.in_messages,
    system=lambda body: prose(body.get("system")),
    usage=_usage,
)
