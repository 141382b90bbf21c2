"""OpenAI's Responses as it writes them (pure)."""

from __future__ import annotations

from typing import Any

from askonce.testing.fake_call import Call, Frame, Json, pieces, tokens
from askonce.testing.fake_chat import token_logprobs
from askonce.testing.fake_openai import obfuscated
from askonce.testing.fake_script import Message, RecordedRequest, ToolCall

# What the API says of parameters the caller left out.
_DEFAULTS: Json = {
    "background": False,
    "error": None,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def whole(call: Call) -> Json:
    """Write a `response`."""
    reason = call.messages[0].finish_reason or "stop"
    cut = _INCOMPLETE.get(reason)
    return {
        **_head(call),
        "status": "incomplete" if cut else "completed",
        "completed_at": None if cut else call.created,
        "incomplete_details": {"reason": cut} if cut else None,
        "output": _output(call),
        "usage": {
            "input_tokens": call.usage.input_tokens,
            "input_tokens_details": {
                "cached_tokens": call.usage.cached_tokens,
                "cache_write_tokens": 0,
            },
            "output_tokens": call.usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": call.usage.reasoning_tokens},
            "total_tokens": call.usage.input_tokens + call.usage.output_tokens,
        },
    }


def stream(call: Call) -> list[Frame]:
    """Write the events of a `response`, numbered from 0."""
    done = whole(call)
    started = {**done, "status": "in_progress", "completed_at": None, "incomplete_details": None}
    started |= {"output": [], "usage": None}
    events: list[Json] = [
        {"type": "response.created", "response": started},
        {"type": "response.in_progress", "response": started},
    ]
    for place, item in enumerate(done["output"]):
        events += _item_events(call, place, item)
    events.append({"type": f"response.{done['status']}", "response": done})
    numbered = ({**event, "sequence_number": number} for number, event in enumerate(events))
    return [(event["type"], event) for event in numbered]


def interruption(request: RecordedRequest, message: str, place: int) -> Frame:  # noqa: ARG001
    """Write an error that ends a stream."""
    error = {"type": "error", "code": "server_error", "message": message, "param": None}
    return ("error", {**error, "sequence_number": place})


def _head(call: Call) -> Json:
    said = {field: call.body[field] for field in _DEFAULTS if call.body.get(field) is not None}
    return {
        "id": f"resp_{call.number}",
        "object": "response",
        "created_at": call.created,
        "model": call.model,
        **_DEFAULTS,
        **said,
    }


def _output(call: Call) -> list[Json]:
    message = call.messages[0]
    items: list[Json] = []
    if message.reasoning is not None:
        parts = message.reasoning.split("\n\n")
        summary = [{"type": "summary_text", "text": part} for part in parts]
        items.append({"id": f"rs_{call.number}", "type": "reasoning", "summary": summary})
    if message.text is not None or message.refusal is not None:
        items.append(_said(call, message))
    items += [_called(call, place, tool) for place, tool in enumerate(message.tool_calls)]
    return items


def _said(call: Call, message: Message) -> Json:
    content: list[Json] = []
    if message.text is not None:
        odds = _logprobs(call, message, message.text)
        content.append(
            {"type": "output_text", "annotations": [], "logprobs": odds, "text": message.text}
        )
    if message.refusal is not None:
        content.append({"type": "refusal", "refusal": message.refusal})
    cut = message.finish_reason in _INCOMPLETE
    return {
        "id": f"msg_{call.number}",
        "type": "message",
        "status": "incomplete" if cut else "completed",
        "content": content,
        "role": "assistant",
    }


def _called(call: Call, place: int, tool: ToolCall) -> Json:
    return {
        "id": f"fc_{call.number}_{place}",
        "type": "function_call",
        "status": "completed",
        "arguments": tool.arguments,
        "call_id": f"call_{call.number}_0_{place}",
        "name": tool.name,
    }


def _logprobs(call: Call, message: Message, text: str) -> list[Json]:
    include = call.body.get("include") or ()
    if not message.logprobs and "message.output_text.logprobs" not in include:
        return []
    return token_logprobs(message, text, int(call.body.get("top_logprobs") or 0))


def _item_events(call: Call, place: int, item: Json) -> list[Json]:
    """All events of one output item, from `added` to `done`."""
    write = {"reasoning": _reasoning, "message": _message, "function_call": _arguments}
    empty: dict[str, Json] = {"reasoning": {"summary": []}, "message": {"content": []}}
    blank = empty.get(item["type"], {"arguments": ""})
    added = {**item, **blank}
    if "status" in item:
        added["status"] = "in_progress"
    where = {"output_index": place}
    return [
        {"type": "response.output_item.added", **where, "item": added},
        *write[item["type"]](call, {**where, "item_id": item["id"]}, item),
        {"type": "response.output_item.done", **where, "item": item},
    ]


def _reasoning(call: Call, where: Json, item: Json) -> list[Json]:
    events: list[Json] = []
    for place, part in enumerate(item["summary"]):
        here = {**where, "summary_index": place}
        prefix = "response.reasoning_summary"
        events += [
            {"type": f"{prefix}_part.added", **here, "part": {**part, "text": ""}},
            *_text_deltas(call, f"{prefix}_text.delta", here, part["text"]),
            {"type": f"{prefix}_text.done", **here, "text": part["text"]},
            {"type": f"{prefix}_part.done", **here, "part": part},
        ]
    return events


def _message(call: Call, where: Json, item: Json) -> list[Json]:
    events: list[Json] = []
    for place, part in enumerate(item["content"]):
        here = {**where, "content_index": place}
        if part["type"] == "refusal":
            blank, told = {**part, "refusal": ""}, _refusal(call, here, part)
        else:
            blank, told = {**part, "text": "", "logprobs": []}, _text(call, here, part)
        events += [
            {"type": "response.content_part.added", **here, "part": blank},
            *told,
            {"type": "response.content_part.done", **here, "part": part},
        ]
    return events


def _text(call: Call, here: Json, part: Json) -> list[Json]:
    kind, odds = "response.output_text", part["logprobs"]
    deltas = _text_deltas(call, f"{kind}.delta", here, part["text"])
    for place, delta in enumerate(deltas):
        delta["logprobs"] = odds[place : place + 1]
    return [*deltas, {"type": f"{kind}.done", **here, "text": part["text"], "logprobs": odds}]


def _refusal(call: Call, here: Json, part: Json) -> list[Json]:
    deltas = _text_deltas(call, "response.refusal.delta", here, part["refusal"])
    return [*deltas, {"type": "response.refusal.done", **here, "refusal": part["refusal"]}]


def _text_deltas(call: Call, kind: str, here: Json, text: str) -> list[Json]:
    said = ({"type": kind, **here, "delta": token} for token in tokens(text))
    return [obfuscated(call.body, event) for event in said]


def _arguments(call: Call, where: Json, item: Json) -> list[Json]:
    kind = "response.function_call_arguments"
    deltas: list[dict[str, Any]] = [
        obfuscated(call.body, {"type": f"{kind}.delta", **where, "delta": piece})
        for piece in pieces(item["arguments"])
    ]
    done = {"arguments": item["arguments"], "name": item["name"]}
    return [*deltas, {"type": f"{kind}.done", **where, **done}]
