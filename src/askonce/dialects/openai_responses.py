"""OpenAI's Responses.

Reference: https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from askonce.dialects import flaws, questions
from askonce.dialects.chunks import model_of
from askonce.dialects.contract import LABEL, Dialect, Facts, Json
from askonce.dialects.response_events import told
from askonce.dialects.wire import (
    decode,
    decode_object,
    instructions,
    items,
    number,
    record,
    said,
    server_tool,
    text,
    tokens,
    too_deep,
)
from askonce.frames import Event
from askonce.model import Reason, Usage

# `store` counts, as it makes an id that can be asked for later. `prompt_cache_options` counts, as
# `prewarm` asks for no answer and `comparison_response_id` for diagnostics beside it.
NEUTRAL = frozenset(
    {
        "stream",  # the same answer in pieces
        "stream_options",  # says only whether padding is sent
        "user",  # names the end user for abuse reports
        "metadata",  # labels for the dashboard
        "safety_identifier",  # names the end user for abuse reports
        "prompt_cache_key",  # routes to a machine that has the prefix
        "prompt_cache_retention",  # how long the prefix is kept
        "service_tier",  # how fast and at what price
    }
)

_CONVERSATION = Reason(
    "conversation", "the conversation lives on the server; send all of it as input to cache it"
)
_PREVIOUS = Reason(
    "previous_response_id",
    "the call goes on from an answer kept on the server; send the whole input to cache it",
)
_BACKGROUND = Reason("background", "background calls answer later; leave background out")
_TEMPLATE = Reason(
    "prompt_template", "a prompt template without a version can change; name its version"
)

# The answer repeats these, each with what it holds when nothing was said.
_LABELS: Json = {"metadata": {}, "user": None, "safety_identifier": None, "prompt_cache_key": None}

# Tools that the caller runs itself: the answer holds only the wish to run them.
_CLIENT_TOOLS = frozenset(
    {"function", "custom", "apply_patch", "local_shell", "computer", "computer_use_preview"}
)
_TERMINAL = frozenset({"response.completed", "response.failed", "response.incomplete"})


def _matches(path: str) -> bool:
    return path.endswith("/responses")


def _facts(path: str, body: Json) -> Facts:
    return Facts(
        model=model_of(path, body),
        stream=body.get("stream") is True,
        temperature=number(body.get("temperature")),
        effort=text(record(body.get("reasoning")).get("effort")),
        labels={name: body[name] for name in _LABELS if body.get(name) is not None},
        effect=_state(body) or _tools_effect(body.get("tools")) or _input_effect(body),
    )


def _state(body: Json) -> Reason | None:
    if body.get("conversation") is not None:
        return _CONVERSATION
    if body.get("previous_response_id") is not None:
        return _PREVIOUS
    if body.get("background") not in (None, False):
        return _BACKGROUND
    template = body.get("prompt")
    if template is not None and not text(record(template).get("version")):
        return _TEMPLATE
    return None


def _tools_effect(tools: Any) -> Reason | None:
    if tools is not None and not isinstance(tools, list):
        return server_tool(None)
    for tool in items(tools):
        fields = record(tool)
        # A namespace holds functions and custom tools, no other namespace.
        inside = items(fields.get("tools")) if fields.get("type") == "namespace" else [tool]
        for inner in inside:
            if not _is_client_tool(record(inner)):
                return server_tool(record(inner).get("type"))
    return None


def _input_effect(body: Json) -> Reason | None:
    # `additional_tools` and `tool_search_output` are items of the input that bring tools.
    effects = (_tools_effect(record(item).get("tools")) for item in items(body.get("input")))
    return next(filter(None, effects), None)


def _is_client_tool(tool: Json) -> bool:
    kind = text(tool.get("type"))
    if kind == "shell":
        return record(tool.get("environment")).get("type") == "local"
    return kind in _CLIENT_TOOLS


# Whether an answer is worth keeping


def _flaw(answer: Json) -> Reason | None:
    output = answer.get("output")
    if answer.get("error"):
        return flaws.ERROR
    flaw = _status_flaw(answer)
    if flaw is not None:
        return flaw
    if not isinstance(output, list) or not all(isinstance(item, dict) for item in output):
        return flaws.MALFORMED
    for item in output:
        flaw = _item_flaw(item)
        if flaw is not None:
            return flaw
    if not any(map(_holds_answer, output)):
        return flaws.EMPTY
    return flaws.MALFORMED if too_deep(answer) else None


def _status_flaw(answer: Json) -> Reason | None:
    status = answer.get("status")
    if status == "completed":
        return None
    if status == "incomplete":
        reason = record(answer.get("incomplete_details")).get("reason")
        if reason == "content_filter":
            return flaws.FILTERED
        return flaws.TRUNCATED
    if status in ("failed", "cancelled", "in_progress", "queued"):
        return flaws.ERROR
    return flaws.UNFINISHED if status is None else flaws.unknown_finish(status)


def _item_flaw(item: Json) -> Reason | None:
    kind = item.get("type")
    if item.get("status") == "incomplete":
        return flaws.TRUNCATED
    if item.get("status") == "failed" or item.get("error"):
        return flaws.ERROR
    if kind == "function_call":
        whole = decode_object(text(item.get("arguments"))) is not None
        return None if whole and said(item.get("name")) else flaws.BROKEN_TOOL_CALL
    if kind == "custom_tool_call":
        whole = isinstance(item.get("input"), str)
        return None if whole and said(item.get("name")) else flaws.BROKEN_TOOL_CALL
    if kind == "message":
        if not isinstance(item.get("content"), list):
            return flaws.MALFORMED
        if any(record(part).get("type") == "refusal" for part in item["content"]):
            return flaws.REFUSED
    return None if isinstance(kind, str) else flaws.MALFORMED


def _holds_answer(item: Json) -> bool:
    if item["type"] == "message":
        return any(map(_holds_text, item["content"]))
    return bool(item["type"] != "reasoning")


def _holds_text(part: Any) -> bool:
    kind = record(part).get("type")
    return said(part.get("text")) if kind == "output_text" else kind is not None


# A stream, put together


def _whole(stream: Sequence[Event]) -> Json | None:
    """Return the answer that the last event of a stream holds; its flaws are for `flaw` to find."""
    try:
        for event in stream:
            message = decode(event.data)
            kind = message.get("type") if isinstance(message, dict) else None
            if kind in ("response.completed", "response.incomplete"):
                answer = message.get("response")
                return answer if isinstance(answer, dict) else None
            if not isinstance(kind, str) or kind in ("error", "response.failed"):
                return None
    except ValueError:
        return None
    return None


def _terminal(event: Event) -> bool:
    if event.name is not None:
        return event.name in _TERMINAL
    # Few hosts leave the names out; then the data say it.
    return '"response.' in event.data and _kind(event) in _TERMINAL


def _kind(event: Event) -> str:
    return text(record(decode_object(event.data)).get("type"))


def _unlabelled(said: Json, labels: Json) -> Json:
    return _changed(
        said, lambda name, told: LABEL if name in labels and told == labels[name] else told
    )


def _relabelled(said: Json, labels: Json) -> Json:
    return _changed(
        said, lambda name, told: labels.get(name, _LABELS[name]) if told == LABEL else told
    )


def _changed(said: Json, change: Callable[[str, Any], Any]) -> Json:
    if isinstance(said.get("response"), dict):
        return {**said, "response": _changed(said["response"], change)}
    return {**said, **{name: change(name, said[name]) for name in _LABELS if name in said}}


def _events(answer: Json, _facts: Facts) -> Iterable[Event]:
    return told(answer)


def _usage(answer: Json) -> Usage:
    counted = record(answer.get("usage"))
    return tokens(
        input=counted.get("input_tokens"),
        output=counted.get("output_tokens"),
        total=counted.get("total_tokens"),
    )


RESPONSES = Dialect(
    name="openai.responses",
    matches=_matches,
    facts=_facts,
    flaw=_flaw,
    whole=_whole,
    events=_events,
    neutral=NEUTRAL,
    terminal=_terminal,
    question=questions.in_input,
    system=lambda body: f"{text(body.get('instructions'))}\n{instructions(body.get('input'))}",
    unlabelled=_unlabelled,
    relabelled=_relabelled,
    usage=_usage,
)
