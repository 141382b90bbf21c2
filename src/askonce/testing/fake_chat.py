"""OpenAI's chat completions as OpenAI, Azure, Groq and Mistral write them (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from askonce.testing.fake_call import Call, Frame, Json, logprobs, pieces, tokens
from askonce.testing.fake_openai import obfuscated, usage, usage_is_streamed
from askonce.testing.fake_script import Message, RecordedRequest, ToolCall

_SAFE = {"filtered": False, "severity": "safe"}
_FILTERS = dict.fromkeys(("hate", "self_harm", "sexual", "violence"), _SAFE)


@dataclass(frozen=True, slots=True)
class _House:
    """Where a provider's dialect of chat completions differs from OpenAI's."""

    name: str
    reasoning: str = "reasoning_content"
    """The field of open reasoning, which OpenAI itself does not show."""
    usage_with_the_last: bool = False
    """Usage comes with the last choice of a stream, asked for or not."""
    tools_in_pieces: bool = True


_OPENAI = _House("openai")
_AZURE = _House("azure")
_GROQ = _House("groq", "reasoning", usage_with_the_last=True, tools_in_pieces=False)
_MISTRAL = _House("mistral", usage_with_the_last=True, tools_in_pieces=False)


def _house(request: RecordedRequest) -> _House:
    if "/openai/deployments/" in request.path:
        return _AZURE
    if "/openai/v1/" in request.path:
        return _GROQ
    # Mistral's paths are OpenAI's; its SDK's user agent ends in its package's name.
    return _MISTRAL if "mistral" in request.headers.get("user-agent", "") else _OPENAI


def whole(call: Call) -> Json:
    """Write a `chat.completion`."""
    house = _house(call.request)
    body = {
        **_head(call, "chat.completion"),
        "choices": [_choice(call, index) for index in range(len(call.messages))],
        "usage": usage(call.usage),
    }
    if house is _AZURE:
        body["prompt_filter_results"] = _prompt_filter()
    if house is _GROQ:
        body["x_groq"] = {"id": f"req_{call.number}"}
    return body


def stream(call: Call) -> list[Frame]:
    """Write the `chat.completion.chunk`s, choices interleaved, and the end mark."""
    house = _house(call.request)
    deltas = [list(_deltas(call, index)) for index in range(len(call.messages))]
    choices = [choice for row in zip_longest(*deltas) for choice in row if choice is not None]
    head = _head(call, "chat.completion.chunk")
    if house is _OPENAI and usage_is_streamed(call.body):
        head["usage"] = None
    chunks = [{**head, "choices": [choice]} for choice in choices]
    if house is _OPENAI:
        chunks = [obfuscated(call.body, chunk) for chunk in chunks]
    if house is _AZURE:
        chunks.insert(0, _azure_opening())
    if house is _GROQ:
        chunks[0]["x_groq"] = {"id": f"req_{call.number}"}
        chunks[-1]["x_groq"] = {"id": f"req_{call.number}", "usage": usage(call.usage)}
    if house.usage_with_the_last:
        chunks[-1]["usage"] = usage(call.usage)
    elif usage_is_streamed(call.body):
        chunks.append({**head, "choices": [], "usage": usage(call.usage)})
    return [*((None, chunk) for chunk in chunks), (None, "[DONE]")]


def _head(call: Call, kind: str) -> Json:
    return {
        "id": f"chatcmpl-{call.number}",
        "object": kind,
        "created": call.created,
        "model": call.model,
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
    }


def _choice(call: Call, index: int) -> Json:
    house, message = _house(call.request), call.messages[index]
    said: Json = {"role": "assistant", "content": message.text, "refusal": message.refusal}
    if message.reasoning is not None:
        said[house.reasoning] = message.reasoning
    if message.tool_calls:
        called = enumerate(message.tool_calls)
        said["tool_calls"] = [_tool_call(call, index, place, tool) for place, tool in called]
    said["annotations"] = []
    return {
        "index": index,
        "message": said,
        "logprobs": _logprobs(call, message),
        "finish_reason": finish_reason(message),
        **({"content_filter_results": _FILTERS} if house is _AZURE else {}),
    }


def finish_reason(message: Message) -> str:
    """Say why the message ends, in OpenAI's words, which are a Reply's own."""
    return message.finish_reason or ("tool_calls" if message.tool_calls else "stop")


def _deltas(call: Call, index: int) -> list[Json]:
    """One choice of a stream, in pieces: each is a chunk's only choice."""
    house, message = _house(call.request), call.messages[index]
    opening = {
        "role": "assistant",
        "content": None if message.text is None else "",
        "refusal": None,
    }
    said: list[tuple[Json, Json | None]] = [(opening, None)]
    said += [({house.reasoning: piece}, None) for piece in tokens(message.reasoning or "")]
    said += _text_deltas(call, message, "content", message.text or "")
    said += _text_deltas(call, message, "refusal", message.refusal or "")
    for place, tool in enumerate(message.tool_calls):
        said += [(delta, None) for delta in _tool_deltas(call, index, place, tool)]
    said.append(({}, None))
    filters = {"content_filter_results": _FILTERS} if house is _AZURE else {}
    choices: list[Json] = [
        {"index": index, "delta": delta, "logprobs": odds, "finish_reason": None, **filters}
        for delta, odds in said
    ]
    choices[-1]["finish_reason"] = finish_reason(message)
    return choices


def _text_deltas(
    call: Call, message: Message, field: str, text: str
) -> list[tuple[Json, Json | None]]:
    odds = _token_logprobs(call, message, text)
    if odds is None:
        return [({field: token}, None) for token in tokens(text)]
    none = {"content": None, "refusal": None}
    return [({field: each["token"]}, {**none, field: [each]}) for each in odds]


def _tool_call(call: Call, index: int, place: int, tool: ToolCall) -> Json:
    return {
        "id": f"call_{call.number}_{index}_{place}",
        "type": "function",
        "function": {"name": tool.name, "arguments": tool.arguments},
    }


def _tool_deltas(call: Call, index: int, place: int, tool: ToolCall) -> list[Json]:
    opening: Json = {"index": place, **_tool_call(call, index, place, tool)}
    if not _house(call.request).tools_in_pieces:
        return [{"tool_calls": [opening]}]
    opening["function"] = {"name": tool.name, "arguments": ""}
    rest = [{"index": place, "function": {"arguments": piece}} for piece in pieces(tool.arguments)]
    return [{"tool_calls": [piece]} for piece in (opening, *rest)]


def _logprobs(call: Call, message: Message) -> Json | None:
    said = _token_logprobs(call, message, message.text or "")
    refused = _token_logprobs(call, message, message.refusal or "")
    return {"content": said, "refusal": refused} if said or refused else None


def _token_logprobs(call: Call, message: Message, text: str) -> list[Json] | None:
    """Give None where nobody asked, and for an empty text."""
    if not (message.logprobs or call.body.get("logprobs") is True):
        return None
    beside = int(call.body.get("top_logprobs") or 0)
    return token_logprobs(message, text, beside) or None


def token_logprobs(message: Message, text: str, beside: int) -> list[Json]:
    """Each token with its log probability and the likeliest in its place."""
    return [
        {
            **_odds(token, odds),
            "top_logprobs": [_odds(token + "s" * n, odds - n) for n in range(beside)],
        }
        for token, odds in logprobs(message, text)
    ]


def _odds(token: str, odds: float) -> dict[str, Any]:
    return {"token": token, "logprob": odds, "bytes": list(token.encode("utf-8", "replace"))}


def _prompt_filter() -> list[Json]:
    return [{"prompt_index": 0, "content_filter_results": _FILTERS}]


def _azure_opening() -> Json:
    """Azure's first chunk says only what its filter thought of the prompt."""
    blank = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
    return {**blank, "prompt_filter_results": _prompt_filter()}
