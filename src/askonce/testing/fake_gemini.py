"""Gemini's generateContent, streamGenerateContent and embeddings as it writes them (pure)."""

from __future__ import annotations

import json

from askonce.testing.fake_call import Call, Frame, Json, logprobs, text_of, tokens
from askonce.testing.fake_openai import vector
from askonce.testing.fake_script import Message, RecordedRequest

_FINISH = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "tool_calls": "STOP",
}
_ERRORS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


def headers(request: RecordedRequest) -> dict[str, str]:
    """Headers of every answer."""
    return {
        "server": "scaffolding on HTTPServer2",
        "server-timing": f"gfet4t7; dur={request.number}",
    }


def failure(request: RecordedRequest, status: int, message: str) -> Json:  # noqa: ARG001
    """Write an error body."""
    name = _ERRORS.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    return {"error": {"code": status, "message": message, "status": name}}


def interruption(request: RecordedRequest, message: str, place: int) -> Frame:  # noqa: ARG001
    """Write an error that ends a stream."""
    return (None, failure(request, 503, message))


def whole(call: Call) -> Json:
    """Write a `GenerateContentResponse`."""
    blocked = next((m.refusal for m in call.messages if m.refusal is not None), None)
    if blocked is not None:
        feedback = {"blockReason": "SAFETY", "blockReasonMessage": blocked}
        return {"promptFeedback": feedback, **_tail(call)}
    candidates = [
        _candidate(call, index, _parts(message), last=True)
        for index, message in enumerate(call.messages)
    ]
    return {"candidates": candidates, **_tail(call)}


def stream(call: Call) -> list[Frame]:
    """Write a `GenerateContentResponse` in pieces. Nothing marks the end but the finish reason."""
    if any(message.refusal is not None for message in call.messages):
        return [(None, whole(call))]
    chunks: list[Json] = []
    for index, message in enumerate(call.messages):
        parts = [piece for part in _parts(message) for piece in _pieces(part)] or [{"text": ""}]
        for place, part in enumerate(parts, start=1):
            candidate = _candidate(call, index, [part], last=place == len(parts))
            chunks.append({"candidates": [candidate], **_tail(call)})
    return [(None, chunk) for chunk in chunks]


def embeddings(call: Call) -> Json:
    """Write the vectors of `batchEmbedContents`, or the one of `embedContent`."""
    asked = call.body.get("requests")
    if not isinstance(asked, list):
        return {"embedding": _embedding(call.body)}
    return {"embeddings": [_embedding(request) for request in asked]}


def _embedding(request: Json) -> Json:
    size = request.get("outputDimensionality")
    text = text_of(request.get("content"))
    return {"values": vector(text, size) if isinstance(size, int) else vector(text)}


def _candidate(call: Call, index: int, parts: list[Json], *, last: bool) -> Json:
    message = call.messages[index]
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": index}
    if last:
        candidate["finishReason"] = _finish(message)
    odds = _logprobs(call, message)
    if last and odds:
        candidate |= odds
    if not parts:
        candidate["content"] = {"role": "model"}
    return candidate


def _finish(message: Message) -> str:
    if message.finish_reason is None and any(_broken(t.arguments) for t in message.tool_calls):
        return "MALFORMED_FUNCTION_CALL"
    reason = message.finish_reason or "stop"
    return _FINISH.get(reason, reason)


def _parts(message: Message) -> list[Json]:
    parts: list[Json] = []
    if message.reasoning is not None:
        parts.append({"text": message.reasoning, "thought": True})
    if message.text is not None:
        parts.append({"text": message.text})
    for tool in message.tool_calls:
        if not _broken(tool.arguments):
            call = {"name": tool.name, "args": json.loads(tool.arguments)}
            parts.append({"functionCall": call})
    return parts


def _pieces(part: Json) -> list[Json]:
    if "text" not in part:
        return [part]
    return [{**part, "text": token} for token in tokens(part["text"])]


def _broken(arguments: str) -> bool:
    try:
        return not isinstance(json.loads(arguments), dict)
    except ValueError:
        return True


def _logprobs(call: Call, message: Message) -> Json | None:
    config = call.body.get("generationConfig")
    asked = isinstance(config, dict) and config.get("responseLogprobs") is True
    if not (asked or message.logprobs):
        return None
    odds: list[Json] = [
        {"token": token, "tokenId": place, "logProbability": value}
        for place, (token, value) in enumerate(logprobs(message, message.text or ""))
    ]
    mean = sum(entry["logProbability"] for entry in odds) / max(1, len(odds))
    tops = [{"candidates": [entry]} for entry in odds]
    return {
        "avgLogprobs": mean,
        "logprobsResult": {"topCandidates": tops, "chosenCandidates": odds},
    }


def _tail(call: Call) -> Json:
    said = call.usage.output_tokens - call.usage.reasoning_tokens
    counted: Json = {
        "promptTokenCount": call.usage.input_tokens,
        "candidatesTokenCount": said,
        "totalTokenCount": call.usage.input_tokens + call.usage.output_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": call.usage.input_tokens}],
    }
    if call.usage.reasoning_tokens:
        counted["thoughtsTokenCount"] = call.usage.reasoning_tokens
    if call.usage.cached_tokens:
        counted["cachedContentTokenCount"] = call.usage.cached_tokens
    return {
        "usageMetadata": counted,
        "modelVersion": call.model,
        "responseId": f"fake-{call.number}",
    }
