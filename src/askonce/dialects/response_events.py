"""The events by which OpenAI's Responses tell an answer.

Reference: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from askonce.dialects.contract import Json
from askonce.dialects.wire import encode, items, record, text
from askonce.frames import Event

Step: TypeAlias = tuple[str, Json]
"""The type of an event, and its members beside `type` and `sequence_number`."""

# Calls whose text is streamed: the member that holds it, and the name of its events.
_CALLS = {
    "function_call": ("arguments", "response.function_call_arguments"),
    "custom_tool_call": ("input", "response.custom_tool_call_input"),
    "mcp_call": ("arguments", "response.mcp_call_arguments"),
    "code_interpreter_call": ("code", "response.code_interpreter_call_code"),
}
# Parts whose text is streamed, likewise.
_PARTS = {
    "output_text": ("text", "response.output_text"),
    "refusal": ("refusal", "response.refusal"),
    "reasoning_text": ("text", "response.reasoning_text"),
}


def told(answer: Json) -> Iterator[Event]:
    """Tell a whole answer as the full sequence of events."""
    for number, (kind, members) in enumerate(_steps(answer)):
        yield Event(encode({"type": kind, "sequence_number": number, **members}), kind)


def _steps(answer: Json) -> Iterator[Step]:
    begun: Json = {**answer, "status": "in_progress", "output": []}
    begun |= {name: None for name in ("usage", "completed_at") if name in answer}
    yield "response.created", {"response": begun}
    yield "response.in_progress", {"response": begun}
    for index, item in enumerate(items(answer.get("output"))):
        yield "response.output_item.added", {"output_index": index, "item": _opening(item)}
        yield from _item_steps(record(item), index)
        yield "response.output_item.done", {"output_index": index, "item": item}
    end = "incomplete" if answer.get("status") == "incomplete" else "completed"
    yield f"response.{end}", {"response": answer}


def _opening(item: Any) -> Any:
    """An item before its text has come."""
    kind = text(record(item).get("type"))
    if kind == "message":
        return {**item, "status": "in_progress", "content": []}
    if kind == "reasoning":
        return {**item, "summary": [], **({"content": []} if item.get("content") else {})}
    if kind in _CALLS and isinstance(item.get(_CALLS[kind][0]), str):
        return {**item, "status": "in_progress", _CALLS[kind][0]: ""}
    return item


def _item_steps(item: Json, index: int) -> Iterator[Step]:
    place: Json = {"item_id": text(item.get("id")), "output_index": index}
    kind = text(item.get("type"))
    if kind in _CALLS:
        member, name = _CALLS[kind]
        if isinstance(item.get(member), str):
            yield f"{name}.delta", {**place, "delta": item[member]}
            yield f"{name}.done", {**place, member: item[member]}
    if kind == "reasoning":
        for at, part in enumerate(items(item.get("summary"))):
            yield from _summary_steps(record(part), {**place, "summary_index": at})
    if kind in ("message", "reasoning"):
        for at, part in enumerate(items(item.get("content"))):
            yield from _part_steps(record(part), {**place, "content_index": at})


def _summary_steps(part: Json, place: Json) -> Iterator[Step]:
    said = text(part.get("text"))
    name = "response.reasoning_summary"
    yield f"{name}_part.added", {**place, "part": {**part, "text": ""}}
    yield f"{name}_text.delta", {**place, "delta": said}
    yield f"{name}_text.done", {**place, "text": said}
    yield f"{name}_part.done", {**place, "part": part}


def _part_steps(part: Json, place: Json) -> Iterator[Step]:
    kind = text(part.get("type"))
    if kind not in _PARTS:
        yield "response.content_part.added", {**place, "part": part}
        yield "response.content_part.done", {**place, "part": part}
        return
    member, name = _PARTS[kind]
    said = text(part.get(member))
    empty: Json = {
        key: [] for key in ("annotations", "logprobs") if isinstance(part.get(key), list)
    }
    odds = {"logprobs": items(part.get("logprobs"))} if kind == "output_text" else {}
    yield "response.content_part.added", {**place, "part": {**part, **empty, member: ""}}
    yield f"{name}.delta", {**place, "delta": said, **odds}
    for at, annotation in enumerate(items(part.get("annotations"))):
        annotated = {**place, "annotation_index": at, "annotation": annotation}
        yield "response.output_text.annotation.added", annotated
    yield f"{name}.done", {**place, member: said, **odds}
    yield "response.content_part.done", {**place, "part": part}
