"""Replay is exact: recorded as a stream or whole, read as a stream or whole, it is the same answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from google import genai

from askonce.testing import FakeUpstream
from askonce.testing.fake_script import Message, Reply, ToolCall, Usage

# What the SDKs' stream helpers add, and what they lose after the first chunk (Azure's filter).
HELPERS = {"parsed", "parsed_arguments", "prompt_filter_results", "content_filter_results"}


def kept(value: Any) -> Any:
    """All that an object says, without what the SDK has in one form of an answer only.

    A stream does not speak of what is not there (None, an empty list). A helper also adds a tool
    call's place.
    """
    if isinstance(value, dict):
        told = {name: kept(item) for name, item in value.items()}
        hidden = {*HELPERS, *(("index",) if "function" in told else ())}
        return {k: v for k, v in told.items() if v not in (None, []) and k not in hidden}
    return [kept(item) for item in value] if isinstance(value, list) else value


def dumped(answer: Any) -> Any:
    return kept(answer.model_dump(mode="json", warnings=False))


def completion_of(chunks: list[Any]) -> Any:
    """Put the chunks of a completion together; a whole answer is one chunk."""
    choices: dict[int, dict[str, Any]] = {}
    for chunk in (chunk for each in chunks for chunk in each.choices):
        choice = choices.setdefault(chunk.index, {"text": "", "odds": [], "finish_reason": None})
        choice["text"] += chunk.text
        choice["finish_reason"] = chunk.finish_reason or choice["finish_reason"]
        if chunk.logprobs is not None:
            choice["odds"] += zip(*chunk.logprobs.to_dict().values(), strict=True)
    last = chunks[-1]
    return choices, last.id, last.created, last.model, last.usage.to_dict()


def generation_of(chunks: list[Any]) -> Any:
    """Put the chunks of Gemini's together; a whole answer is one chunk."""
    candidates: dict[int, dict[str, Any]] = {}
    for chunk in (chunk for each in chunks for chunk in each.candidates):
        candidate = candidates.setdefault(chunk.index, {"parts": []})
        for part in map(dumped, (chunk.content and chunk.content.parts) or []):
            before = candidate["parts"][-1] if candidate["parts"] else {}
            if "text" in part and before.keys() == part.keys():
                before["text"] += part["text"]
            else:
                candidate["parts"].append(part)
        candidate |= {k: v for k, v in dumped(chunk).items() if k != "content"}
    last = dumped(chunks[-1])
    return candidates, last["response_id"], last["model_version"], last["usage_metadata"]


# The dialects, each through its official SDK


@dataclass(frozen=True)
class Dialect:
    """One endpoint. What is asked comes back as `(events, answer)`, the answer in plain values."""

    client: Callable[[str, Any], Any]
    """Makes the SDK's client of a URL and an HTTP client."""
    whole: Callable[[Any], Any]
    stream: Callable[[Any], Any]


def helper(manager: Any, final: str) -> Any:
    """Read a stream with the SDK's own helper, which puts it together."""
    with manager as stream:
        return [event.to_dict(warnings=False) for event in stream], dumped(getattr(stream, final)())


def by_hand(stream: Any, together: Callable[[list[Any]], Any]) -> Any:
    """Read a stream that its SDK does not put together."""
    chunks = list(stream)
    # Gemini's chunks also bear the headers of the HTTP response.
    return [chunk.model_dump(exclude={"sdk_http_response"}) for chunk in chunks], together(chunks)


def gemini_client(url: str, http: Any) -> Any:
    return genai.Client(api_key="x", http_options={"base_url": url, "httpx_client": http})


def openai_client(url: str, http: Any) -> Any:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="x", http_client=http)


def azure_client(url: str, http: Any) -> Any:
    given = {"azure_endpoint": url, "api_version": "2025-01-01", "api_key": "x"}
    return openai.AzureOpenAI(**given, http_client=http)


def anthropic_client(url: str, http: Any) -> Any:
    return anthropic.Anthropic(base_url=url, api_key="x", http_client=http)


ASKED = [{"role": "user", "content": "How deep is the sea?"}]
CHAT = {"model": "gpt-4o", "temperature": 0, "messages": ASKED}
RESPONSE = {"model": "gpt-4o", "temperature": 0, "input": "How deep is the sea?"}
COMPLETION = {"model": "gpt-3.5-turbo-instruct", "temperature": 0, "prompt": "How deep?"}
MESSAGE = {"model": "claude-opus-5", "max_tokens": 100, "messages": ASKED}
GENERATION = {"model": "gemini-2.5-flash", "contents": "How deep?", "config": {"temperature": 0}}
USAGE = {"stream_options": {"include_usage": True}}

chat = Dialect(
    openai_client,
    lambda client: ([], dumped(client.chat.completions.create(**CHAT))),
    lambda client: helper(client.chat.completions.stream(**CHAT, **USAGE), "get_final_completion"),
)
DIALECTS = {
    "chat": chat,
    "azure": replace(chat, client=azure_client),
    "responses": Dialect(
        openai_client,
        lambda client: ([], dumped(client.responses.create(**RESPONSE))),
        lambda client: helper(client.responses.stream(**RESPONSE), "get_final_response"),
    ),
    "completions": Dialect(
        openai_client,
        lambda client: ([], completion_of([client.completions.create(**COMPLETION)])),
        lambda client: by_hand(
            client.completions.create(**COMPLETION, **USAGE, stream=True), completion_of
        ),
    ),
    "messages": Dialect(
        anthropic_client,
        lambda client: ([], dumped(client.messages.create(**MESSAGE))),
        lambda client: helper(client.messages.stream(**MESSAGE), "get_final_message"),
    ),
    "gemini": Dialect(
        gemini_client,
        lambda client: ([], generation_of([client.models.generate_content(**GENERATION)])),
        lambda client: by_hand(client.models.generate_content_stream(**GENERATION), generation_of),
    ),
}

TOOLS = (ToolCall("depth", '{"sea": "Ægean", "unit": [1, null, 2.50]}'), ToolCall("tide"))
COUNTED = Usage(input_tokens=9876, output_tokens=345, cached_tokens=4321, reasoning_tokens=210)
CHOICES = (Message("One deep."), Message("Two deep."), Message("Three deep."))

# Each reply, and the dialects that have words for it.
TOOLED = "chat azure responses messages gemini"
EVERY = f"{TOOLED} completions"
REPLIES = {
    "text": (Reply("It is deep. 🐋\r\n\n  Very\u2028deep.\n"), EVERY),
    "usage": (Reply("Deep.", usage=COUNTED), EVERY),
    "tool calls": (Reply(tool_calls=TOOLS), TOOLED),
    "text and tool calls": (Reply("Let me look.", tool_calls=TOOLS), TOOLED),
    "reasoning": (Reply("Deep.", reasoning="Think.\n\nThink again.", usage=COUNTED), TOOLED),
    "reasoning and tool calls": (Reply(reasoning="Look.", tool_calls=TOOLS), TOOLED),
    "logprobs": (Reply("It is deep.", logprobs=(-0.5, -1e-05)), EVERY.replace("messages", "")),
    "several choices": (Reply(choices=CHOICES), "chat azure completions gemini"),
    "a stop sequence": (Reply("Deep.", finish_reason="stop_sequence"), "messages"),
}
CASES = [(name, told) for told, (_, names) in REPLIES.items() for name in names.split()]


def said(reply: Reply) -> Iterator[str]:
    """The words and numbers that every dialect must tell of a reply."""
    for message in (reply, *reply.choices):
        yield from (message.text or "", *(message.reasoning or "").split("\n\n"))
        yield from (call.name for call in message.tool_calls)
        yield from map(str, message.logprobs)
    if reply.tool_calls:
        yield from ("Ægean", "2.5")
    if reply.usage is not None:
        yield str(reply.usage.cached_tokens)


def leaves(value: Any) -> Iterator[str]:
    """Every word and number in a tree."""
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from leaves(item)
    else:
        yield str(value)


def straight(dialect: Dialect, reply: Reply, form: str) -> tuple[list[Any], Any]:
    """Ask without a cache. The first answers of two fake upstreams are the same, ids and all."""
    with FakeUpstream(lambda request: reply) as upstream, httpx2.Client() as http:
        return getattr(dialect, form)(dialect.client(upstream.url, http))


@pytest.mark.parametrize("read", ["whole", "stream"])
@pytest.mark.parametrize("recorded", ["whole", "stream"])
@pytest.mark.parametrize("case", CASES, ids=[" ".join(case) for case in CASES])
def test_a_replay_is_the_answer_that_was_recorded(case, recorded, read, upstream, cache):
    dialect, (reply, _) = DIALECTS[case[0]], REPLIES[case[1]]
    upstream.script = lambda request: reply
    with httpx2.Client(transport=cache.transport(httpx2.HTTPTransport())) as http:
        client = dialect.client(upstream.url, http)
        miss, missed = getattr(dialect, recorded)(client)
        hit, found = getattr(dialect, read)(client)
    assert cache.last.kind == "hit"
    assert upstream.calls == 1
    events, answer = straight(dialect, reply, read)
    assert found == missed == answer
    told = list(leaves(answer))
    assert [words for words in said(reply) if not any(words in leaf for leaf in told)] == []
    assert {event.get("type") for event in hit} == {event.get("type") for event in events}
    if recorded == read:
        assert hit == miss == events
