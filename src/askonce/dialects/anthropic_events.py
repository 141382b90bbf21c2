"""The events by which Anthropic tells a message: put together, and told.

Reference: https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from askonce.dialects.contract import Json
from askonce.dialects.merge import Unclear, gather, replaced
from askonce.dialects.wire import decode, decode_object, encode, items, record, said, text
from askonce.frames import Event

# What `message_delta` tells, by the official SDK's types: in its `delta`, in its `usage` (totals so
# far, never sums to be added), and beside these.
_ENDS = ("stop_reason", "stop_sequence", "stop_details", "container")
_TOTALS = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
    "iterations",
    "fallback_credit",
)
_BESIDE = ("context_management",)

_TOOLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
_DELTAS = frozenset(
    {
        "text_delta",
        "thinking_delta",
        "signature_delta",
        "input_json_delta",
        "citations_delta",
        "compaction_delta",
    }
)


# A stream, put together


def whole(stream: Sequence[Event]) -> Json | None:
    """Put a recorded stream together; None when it is not complete."""
    try:
        return _assemble(_read(stream))
    except (ValueError, RecursionError):
        return None


def _read(stream: Sequence[Event]) -> list[Json]:
    messages: list[Json] = []
    for event in stream:
        message = decode(event.data)
        kind = _kind(message)
        if not kind or kind == "error":
            break
        if kind == "message_stop":
            return messages
        messages.append(message)
    raise Unclear("a stream without its end")


def _kind(message: Any) -> str:
    return text(record(message).get("type"))


def _assemble(messages: list[Json]) -> Json:
    beginnings = [message for message in messages if _kind(message) == "message_start"]
    if len(beginnings) != 1:
        raise Unclear("a stream with more or less than one beginning")
    answer = {**_object(beginnings[0], "message"), "content": _content(messages)}
    changes = [message for message in messages if _kind(message) == "message_delta"]
    answer = _changed(answer, changes)
    if not text(answer.get("stop_reason")):
        raise Unclear("a message without its end")
    for block in answer["content"]:
        # After a fallback the message bears the name of the model that served it.
        if block.get("type") == "fallback":
            answer["model"] = record(block.get("to")).get("model", answer.get("model"))
    return answer


def _object(message: Json, name: str) -> Json:
    found = message.get(name)
    if not isinstance(found, dict):
        raise Unclear(f"{name} is no object")
    return found


def _content(messages: list[Json]) -> list[Json]:
    blocks: dict[int, list[Json]] = {}
    for message in messages:
        if _kind(message).startswith("content_block_"):
            index = message.get("index")
            if not isinstance(index, int):
                raise Unclear("a block without a place")
            blocks.setdefault(index, []).append(message)
    return [_block(blocks[index]) for index in sorted(blocks)]


def _block(messages: list[Json]) -> Json:
    start, *middle, stop = messages if len(messages) > 1 else [{}, {}]
    kinds = {_kind(message) for message in middle} - {"content_block_delta"}
    if _kind(start) != "content_block_start" or _kind(stop) != "content_block_stop" or kinds:
        raise Unclear("a block that does not begin, or does not end, once")
    block = dict(_object(start, "content_block"))
    deltas = [_object(message, "delta") for message in middle]
    if not all(_kind(delta) in _DELTAS for delta in deltas):
        raise Unclear("a delta that askonce does not know")
    for name, value in gather(deltas, _grown).items():
        if name in ("text", "thinking"):
            block[name] = text(block.get(name)) + value
        elif name == "citation":
            block["citations"] = [*items(block.get("citations")), *value]
        elif name == "partial_json":
            block["input"] = _input(block.get("input"), value)
        elif name != "type":
            block[name] = value
    return block


def _grown(name: str, values: list[Any]) -> Any:
    if name in ("text", "thinking", "partial_json"):
        return "".join(map(text, values))
    return values if name == "citation" else replaced(name, values)


def _input(start: Any, written: str) -> Any:
    """Read a tool's input; what is broken stays text, for `flaw` to find."""
    if not said(written):
        return start
    found = decode_object(written)
    return written if found is None else found


def _changed(answer: Json, changes: list[Json]) -> Json:
    news = gather((record(change.get("delta")) for change in changes), replaced)
    beside = gather(changes, replaced)
    totals = gather((record(change.get("usage")) for change in changes), replaced)
    for name in ("type", "delta", "usage"):
        beside.pop(name, None)
    changed = _updated(_updated(answer, news), beside)
    if isinstance(answer.get("usage"), dict):
        changed["usage"] = _updated(answer["usage"], totals)
    elif totals:
        changed["usage"] = totals
    return changed


def _updated(value: Json, news: Json) -> Json:
    return {**value, **{k: v for k, v in news.items() if v is not None or k not in value}}


# A whole answer, told as a stream


def told(answer: Json) -> Iterator[Event]:
    """Tell a whole message as the full sequence of events."""
    usage = record(answer.get("usage"))
    begun: Json = {**answer, "content": []}
    begun |= {name: None for name in (*_ENDS, *_BESIDE) if name in answer}
    if "output_tokens" in usage:
        begun["usage"] = {**usage, "output_tokens": 0}
    yield _event("message_start", message=begun)
    for index, block in enumerate(items(answer.get("content"))):
        opening, deltas = _opened(record(block))
        yield _event("content_block_start", index=index, content_block=opening)
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    ends = {name: answer[name] for name in _ENDS if name in answer}
    totals = {name: usage[name] for name in _TOTALS if name in usage}
    beside = {name: answer[name] for name in _BESIDE if name in answer}
    yield _event("message_delta", delta=ends, usage=totals, **beside)
    yield _event("message_stop")


def _event(kind: str, **members: Any) -> Event:
    return Event(encode({"type": kind, **members}), kind)


def _opened(block: Json) -> tuple[Json, list[Json]]:
    """Part a block into how it starts and the deltas that follow."""
    kind = text(block.get("type"))
    if kind == "text":
        return _opened_text(block)
    if kind == "thinking":
        return _opened_thinking(block)
    if kind in _TOOLS and isinstance(block.get("input"), dict):
        written = encode(block["input"])
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": written}]
    return block, []


def _opened_text(block: Json) -> tuple[Json, list[Json]]:
    cited = block.get("citations")
    opening = {**block, "text": ""}
    if isinstance(cited, list):
        opening["citations"] = []
    deltas: list[Json] = [
        {"type": "citations_delta", "citation": citation} for citation in items(cited)
    ]
    return opening, [*deltas, {"type": "text_delta", "text": text(block.get("text"))}]


def _opened_thinking(block: Json) -> tuple[Json, list[Json]]:
    opening = {**block, "thinking": ""}
    deltas: list[Json] = []
    if text(block.get("thinking")):
        deltas.append({"type": "thinking_delta", "thinking": block["thinking"]})
    if text(block.get("signature")):
        opening["signature"] = ""
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    return opening, deltas
