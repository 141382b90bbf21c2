"""Anthropic's messages as it writes them (pure)."""

from __future__ import annotations

import json
from typing import Any

from askonce.testing.fake_call import Call, Frame, Json, pieces, tokens
from askonce.testing.fake_script import RecordedRequest

_STOP = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def headers(request: RecordedRequest) -> dict[str, str]:
    """Headers of every answer; the cookie is what the real host's proxy sets."""
    return {
        "request-id": f"req_{request.number}",
        "anthropic-organization-id": "fake-organization",
        "anthropic-ratelimit-requests-remaining": str(max(0, 10_000 - request.number)),
        "set-cookie": f"_cfuvid=fake-{request.number}; path=/; HttpOnly",
    }


def failure(request: RecordedRequest, status: int, message: str) -> Json:
    """Write an error body."""
    kind = _ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    error = {"type": kind, "message": message}
    return {"type": "error", "error": error, "request_id": f"req_{request.number}"}


def interruption(request: RecordedRequest, message: str, place: int) -> Frame:  # noqa: ARG001
    """Write an error that ends a stream."""
    return ("error", failure(request, 529, message))


def whole(call: Call) -> Json:
    """Write a `message`."""
    return {**_head(call), "content": _blocks(call), **_stop(call), "usage": _usage(call)}


def stream(call: Call) -> list[Frame]:
    """Write the events of a `message`."""
    opening = {**_usage(call), "output_tokens": 1}
    started: Json = {"content": [], "stop_reason": None, "stop_sequence": None, "usage": opening}
    events: list[Json] = [{"type": "message_start", "message": {**_head(call), **started}}]
    for index, block in enumerate(_blocks(call)):
        events += _block_events(call, index, block)
    # The real API sends its first ping right after the first block has begun.
    events.insert(2, {"type": "ping"})
    used = _usage(call)
    del used["cache_creation"], used["service_tier"]
    events += [
        {"type": "message_delta", "delta": _stop(call), "usage": used},
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in events]


def token_count(call: Call) -> Json:
    """Write the answer of `count_tokens`."""
    return {"input_tokens": call.usage.input_tokens}


def _head(call: Call) -> Json:
    return {
        "id": f"msg_{call.number}",
        "type": "message",
        "role": "assistant",
        "model": call.model,
    }


def _stop(call: Call) -> Json:
    message = call.messages[0]
    implied = "tool_calls" if message.tool_calls else "stop"
    if message.refusal is not None:
        implied = "content_filter"
    reason = message.finish_reason or implied
    told: Json = {"stop_reason": _STOP.get(reason, reason), "stop_sequence": None}
    if message.refusal is not None:
        told["stop_details"] = {"type": "refusal", "category": None, "explanation": message.refusal}
    return told


def _usage(call: Call) -> Json:
    """Anthropic counts cached input apart from the rest."""
    return {
        "input_tokens": call.usage.input_tokens - call.usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": call.usage.cached_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": call.usage.output_tokens,
        "service_tier": "standard",
    }


def _blocks(call: Call) -> list[Json]:
    message = call.messages[0]
    blocks: list[Json] = []
    if message.reasoning is not None:
        signed = {"thinking": message.reasoning, "signature": f"c2lnbmF0dXJl{call.number}"}
        blocks.append({"type": "thinking", **signed})
    if message.text is not None:
        blocks.append({"type": "text", "text": message.text})
    for place, tool in enumerate(message.tool_calls):
        named = {"id": f"toolu_{call.number}_{place}", "name": tool.name}
        blocks.append({"type": "tool_use", **named, "input": _input(tool.arguments)})
    return blocks


def _input(arguments: str) -> Any:
    """Read arguments: a whole message has them as an object, so only a stream shows broken ones."""
    try:
        return json.loads(arguments)
    except ValueError:
        return {}


def _block_events(call: Call, index: int, block: Json) -> list[Json]:
    kind, deltas = block["type"], list[Json]()
    if kind == "thinking":
        blank = {**block, "thinking": "", "signature": ""}
        said = tokens(block["thinking"])
        deltas = [{"type": "thinking_delta", "thinking": token} for token in said]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    elif kind == "text":
        blank = {**block, "text": ""}
        deltas = [{"type": "text_delta", "text": token} for token in tokens(block["text"])]
    else:
        blank = {**block, "input": {}}
        tool = call.messages[0].tool_calls[int(block["id"].rpartition("_")[2])]
        said = ["", *pieces(tool.arguments)]
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in said]
    return [
        {"type": "content_block_start", "index": index, "content_block": blank},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]
