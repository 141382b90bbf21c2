"""What OpenAI's endpoints share, and the small ones: completions, embeddings, models (pure)."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from typing import Any

from askonce.testing.fake_call import Call, Frame, Json, logprobs, tokens, words
from askonce.testing.fake_script import Message, RecordedRequest, Usage

_DIMENSIONS = 8
_ERRORS = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def headers(request: RecordedRequest) -> dict[str, str]:
    """Headers of every answer; the cookie is what the real host's proxy sets."""
    return {
        "x-request-id": f"req_{request.number}",
        "openai-processing-ms": str(100 + request.number),
        "openai-version": "2020-10-01",
        "x-ratelimit-remaining-requests": str(max(0, 10_000 - request.number)),
        "set-cookie": f"__cf_bm=fake-{request.number}; path=/; HttpOnly",
    }


def failure(request: RecordedRequest, status: int, message: str) -> Json:
    """Write an error body."""
    kind, code = _ERRORS.get(status, ("invalid_request_error", None))
    if status >= 500:
        kind = "server_error"
    if "/openai/deployments/" in request.path:
        return {"error": {"code": code or str(status), "message": message}}
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def interruption(request: RecordedRequest, message: str, place: int) -> Frame:  # noqa: ARG001
    """Write an error that ends a stream; `place` matters only where events are numbered."""
    return (None, failure(request, 500, message))


def usage(counted: Usage) -> Json:
    """Write the `usage` of chat and completions."""
    return {
        "prompt_tokens": counted.input_tokens,
        "completion_tokens": counted.output_tokens,
        "total_tokens": counted.input_tokens + counted.output_tokens,
        "prompt_tokens_details": {"cached_tokens": counted.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": counted.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def usage_is_streamed(body: Json) -> bool:
    """Whether the caller asked for usage at the end of its stream."""
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def obfuscated(body: Json, event: Json) -> Json:
    """Pad a stream's event as OpenAI does against listeners, unless told not to."""
    options = body.get("stream_options")
    if isinstance(options, dict) and options.get("include_obfuscation") is False:
        return event
    return {**event, "obfuscation": "Qx7fRk2Lm9"[: 3 + len(str(event)) % 7]}


def completion(call: Call) -> Json:
    """Write a `text_completion`."""
    choices = [
        _text_choice(message.text or "", index, _text_logprobs(call, message), _end(message))
        for index, message in enumerate(call.messages)
    ]
    return {**_text_head(call), "choices": choices, "usage": usage(call.usage)}


def completion_stream(call: Call) -> list[Frame]:
    """Write a `text_completion` as chunks, and the end mark."""
    asked = usage_is_streamed(call.body)
    head = {**_text_head(call), **({"usage": None} if asked else {})}
    choices: list[Json] = []
    for index, message in enumerate(call.messages):
        odds = _text_logprobs(call, message)
        for place, token in enumerate(tokens(message.text or "")):
            here = odds and {field: odds[field][place : place + 1] for field in odds}
            choices.append(_text_choice(token, index, here, None))
        choices.append(_text_choice("", index, None, _end(message)))
    chunks: list[Json] = [{**head, "choices": [choice]} for choice in choices]
    if asked:
        chunks.append({**head, "choices": [], "usage": usage(call.usage)})
    return [*((None, chunk) for chunk in chunks), (None, "[DONE]")]


def _end(message: Message) -> str:
    return message.finish_reason or "stop"


def _text_head(call: Call) -> Json:
    return {
        "id": f"cmpl-{call.number}",
        "object": "text_completion",
        "created": call.created,
        "model": call.model,
        "system_fingerprint": "fp_fake",
    }


def _text_choice(text: str, index: int, odds: Json | None, finish_reason: str | None) -> Json:
    return {"text": text, "index": index, "logprobs": odds, "finish_reason": finish_reason}


def _text_logprobs(call: Call, message: Message) -> Json | None:
    asked = call.body.get("logprobs")
    if asked is None and not message.logprobs:
        return None
    odds = logprobs(message, message.text or "")
    offsets, start = [], 0
    for token, _ in odds:
        offsets.append(start)
        start += len(token)
    return {
        "tokens": [token for token, _ in odds],
        "token_logprobs": [value for _, value in odds],
        "top_logprobs": [{token: value} for token, value in odds],
        "text_offset": offsets,
    }


def embeddings(call: Call) -> Json:
    """Write a list of embeddings: the same input has the same vector, whatever is beside it."""
    inputs = call.body.get("input")
    if not isinstance(inputs, list) or (inputs and isinstance(inputs[0], int)):
        inputs = [inputs]
    size = call.body.get("dimensions") or _DIMENSIONS
    data = [
        {"object": "embedding", "index": index, "embedding": _coded(call, vector(text, size))}
        for index, text in enumerate(inputs)
    ]
    counted = sum(map(words, inputs))
    return {
        "id": f"embd-{call.number}",  # Mistral's; its SDK requires it
        "object": "list",
        "data": data,
        "model": call.model,
        "usage": {"prompt_tokens": counted, "total_tokens": counted},
    }


def vector(content: Any, size: int = _DIMENSIONS) -> list[float]:
    """Make a vector of length one from a text or a list of tokens; each number fits 32 bits."""
    raw = hashlib.shake_128(repr(content).encode("utf-8", "replace")).digest(2 * size)
    numbers = [number - 32_767.5 for number in struct.unpack(f"<{size}H", raw)]
    length = math.hypot(*numbers)
    floats = struct.pack(f"<{size}f", *(number / length for number in numbers))
    return list(struct.unpack(f"<{size}f", floats))


def _coded(call: Call, numbers: list[float]) -> list[float] | str:
    if call.body.get("encoding_format") != "base64":
        return numbers
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode("ascii")


def models(call: Call) -> Json:
    """Write the list of models."""
    names = ("gpt-4o", "gpt-4o-mini", "text-embedding-3-small")
    common = {"object": "model", "created": call.created, "owned_by": "fake"}
    return {"object": "list", "data": [{"id": name, **common} for name in names]}
