"""OpenAI's chat completions, as OpenAI, Azure and the many hosts that speak them write them.

Reference: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from askonce.dialects import chunks, flaws, questions
from askonce.dialects.contract import Dialect, Facts, Json
from askonce.dialects.merge import extended, gather, grown, parts
from askonce.dialects.wire import (
    decode_object,
    instructions,
    items,
    number,
    record,
    said,
    server_tool,
    text,
    too_deep,
)
from askonce.frames import Event
from askonce.model import Reason

NEUTRAL = frozenset(
    {
        "stream",  # the same answer in pieces
        "stream_options",  # says only which pieces are shown
        "user",  # names the end user for abuse reports
        "metadata",  # labels for the dashboard
        "safety_identifier",  # names the end user for abuse reports
        "prompt_cache_key",  # routes to a machine that has the prefix
        "prompt_cache_options",  # how long the prefix is kept
        "prompt_cache_retention",  # how long the prefix is kept
        "service_tier",  # how fast and at what price
        "store",  # whether the dashboard shows the call
    }
)

# Fields by which hosts of this dialect look at the live world or at documents of their own:
# OpenAI web search; xAI live search (https://docs.x.ai/docs/guides/live-search); OpenRouter plugins
# (https://openrouter.ai/docs/features/web-search); Azure On Your Data; Groq compound; Alibaba Qwen.
_LIVE = (
    "web_search_options",
    "search_parameters",
    "plugins",
    "data_sources",
    "search_settings",
    "compound_custom",
    "enable_search",
)


def _matches(path: str) -> bool:
    return path.endswith("/chat/completions")


def _facts(path: str, body: Json) -> Facts:
    return Facts(
        model=chunks.model_of(path, body),
        stream=body.get("stream") is True,
        usage_asked=chunks.usage_asked(body),
        temperature=number(body.get("temperature")),
        effort=text(body.get("reasoning_effort")),
        effect=_effect(body),
    )


def _effect(body: Json) -> Reason | None:
    # An empty object asks for web search too, with its defaults.
    for name in _LIVE:
        if body.get(name) not in (None, False, []):
            return server_tool(name)
    tools = body.get("tools")
    if tools is not None and not isinstance(tools, list):
        return server_tool(None)
    for tool in items(tools):
        kind = record(tool).get("type", "function" if "function" in record(tool) else None)
        if kind not in ("function", "custom"):
            return server_tool(kind)
    return None


# Whether an answer is worth keeping


def _flaw(answer: Json) -> Reason | None:
    return chunks.first_flaw(answer, _choice_flaw) or (
        flaws.MALFORMED if too_deep(answer) else None
    )


def _choice_flaw(choice: Json) -> Reason | None:
    message = choice.get("message")
    if not isinstance(message, dict):
        return flaws.MALFORMED
    if message.get("refusal"):
        return flaws.REFUSED
    finish = choice.get("finish_reason")
    return chunks.finish_flaw(finish) or _calls_flaw(message, finish) or _empty_flaw(message)


def _calls_flaw(message: Json, finish: Any) -> Reason | None:
    called = message.get("tool_calls")
    if called is not None and not isinstance(called, list):
        return flaws.MALFORMED
    legacy = message.get("function_call")
    calls = [*items(called), *([] if legacy is None else [{"function": legacy}])]
    if finish in ("tool_calls", "function_call") and not calls:
        return flaws.MALFORMED
    return None if all(map(_is_call, calls)) else flaws.BROKEN_TOOL_CALL


def _is_call(call: Any) -> bool:
    kind = record(call).get("type", "function")
    if kind == "custom":
        custom = record(call.get("custom"))
        return said(custom.get("name")) and isinstance(custom.get("input"), str)
    function = record(record(call).get("function"))
    arguments = function.get("arguments")
    # Mistral and Ollama may give the arguments as an object.
    whole = isinstance(arguments, dict) or decode_object(text(arguments)) is not None
    return kind in ("function", None) and said(function.get("name")) and whole


def _empty_flaw(message: Json) -> Reason | None:
    holds = (
        said(message.get("content"))
        or any(map(_is_content, items(message.get("content"))))
        or message.get("tool_calls")
        or message.get("function_call")
        or message.get("audio")
        or message.get("images")
    )
    return None if holds else flaws.EMPTY


def _is_content(part: Any) -> bool:
    kind = record(part).get("type")
    return said(part.get("text")) if kind == "text" else kind not in (None, "thinking")


# A stream, put together


def _whole(stream: Sequence[Event]) -> Json | None:
    return chunks.whole(stream, "chat.completion", _choice)


def _choice(pieces: list[Json]) -> Json:
    finish = chunks.finish_of(pieces)
    deltas = [piece["delta"] for piece in pieces if isinstance(piece.get("delta"), dict)]
    message = gather(deltas, _message_member)
    message["role"] = message.get("role") or "assistant"
    message.setdefault("content", None)
    if isinstance(message.get("tool_calls"), list):
        message["tool_calls"] = [_placeless(call) for call in message["tool_calls"]]
    # Perplexity repeats the message so far beside each delta.
    rest = gather(chunks.rest_of(pieces, "delta", "message"), extended)
    return {"message": message, "finish_reason": finish, **rest}


def _message_member(name: str, values: list[Any]) -> Any:
    return parts(values) if name == "content" else grown(name, values)


def _placeless(call: Any) -> Any:
    if not isinstance(call, dict):
        return call
    return {name: member for name, member in call.items() if name != "index"}


# A whole answer, told as a stream


def _events(answer: Json, facts: Facts) -> Iterable[Event]:
    return chunks.told(answer, facts, "chat.completion.chunk", _pieces(answer))


def _pieces(answer: Json) -> Iterator[Json]:
    choices = [
        (choice.get("index", place), choice)
        for place, choice in enumerate(items(answer.get("choices")))
        if isinstance(choice, dict)
    ]
    # The official SDK learns of the choices by the order of their first chunks.
    for index, choice in choices:
        yield {"index": index, "delta": _opening(choice), **_silent(choice), "finish_reason": None}
    for index, choice in choices:
        logprobs = {"logprobs": choice["logprobs"]} if "logprobs" in choice else {}
        for delta in _deltas(record(choice.get("message"))):
            yield {"index": index, "delta": delta, **logprobs, "finish_reason": None}
            logprobs = _silent(choice)
        rest = {
            name: member
            for name, member in choice.items()
            if name not in ("index", "message", "logprobs", "finish_reason")
        }
        yield {
            "index": index,
            "delta": {},
            **logprobs,
            "finish_reason": choice.get("finish_reason"),
            **rest,
        }


def _silent(choice: Json) -> Json:
    return {"logprobs": None} if "logprobs" in choice else {}


def _opening(choice: Json) -> Json:
    """The role, and what is empty or starts empty."""
    message = record(choice.get("message"))
    opening: Json = {"role": message.get("role", "assistant")}
    for name, member in message.items():
        if name == "content" and isinstance(member, str):
            opening[name] = ""
        elif name != "role" and not member:
            opening[name] = member
    return opening


def _deltas(message: Json) -> Iterator[Json]:
    """One delta for each member that says something: reasoning, content, then the others."""
    names = sorted((name for name in message if message[name] and name != "role"), key=_order)
    for name in names:
        if name == "tool_calls" and isinstance(message[name], list):
            for place, call in enumerate(message[name]):
                yield {name: [{"index": place, **record(call)}]}
        else:
            yield {name: message[name]}


def _order(name: str) -> int:
    if name.startswith(("reasoning", "thinking")):
        return 0
    return {"content": 1, "refusal": 2}.get(name, 3)


CHAT = Dialect(
    name="openai.chat",
    matches=_matches,
    facts=_facts,
    flaw=_flaw,
    whole=_whole,
    events=_events,
    neutral=NEUTRAL,
    terminal=chunks.terminal,
    question=questions.in_messages,
    system=lambda body: instructions(body.get("messages")),
    show=chunks.show,
    usage=chunks.usage,
    usage_on_request=True,
    ask_usage=chunks.ask_usage,
)
