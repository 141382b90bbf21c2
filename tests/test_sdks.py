"""Any SDK on httpx2 or httpx is cached by a transport, with the entries that `wrap` has."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import anthropic
import groq
import httpx
import httpx2
import openai
import pytest
from google import genai
from mistralai.client import Mistral

from askonce import Cache

ASKED = [{"role": "user", "content": "What is RAG?"}]
BODY = {"model": "gpt-4o", "messages": ASKED, "temperature": 0}


def chat_text(answer: Any) -> str:
    return answer.choices[0].message.content


def chat_piece(chunk: Any) -> Any:
    return chunk.choices and chunk.choices[0].delta.content


@dataclass(frozen=True)
class Sdk:
    """One SDK. `blocking` and `tasks` make, of a URL and an HTTP client, a call `ask(stream)`."""

    http: ModuleType
    blocking: Callable[[str, Any], Callable[[bool], Any]]
    tasks: Callable[[str, Any], Callable[[bool], Any]]
    answer: Callable[[Any], str] = chat_text
    """The text of a whole answer."""
    chunk: Callable[[Any], Any] = chat_piece
    """The text of a chunk of a stream, if it bears any."""


def chat(client: Any, stream: bool, **more: Any) -> Any:
    return client.chat.completions.create(**BODY, stream=stream, **more)


def chat_with_usage(client: Any, stream: bool) -> Any:
    return chat(client, stream, **({"stream_options": {"include_usage": True}} if stream else {}))


def messages(client: Any, stream: bool) -> Any:
    call = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": ASKED, "stream": stream}
    return client.messages.create(**call, extra_body={"temperature": 0})


def gemini(models: Any, stream: bool) -> Any:
    generate = models.generate_content_stream if stream else models.generate_content
    return generate(model="gemini-2.5-flash", contents="What is RAG?", config={"temperature": 0})


def mistral(client: Any, stream: bool, colour: str = "") -> Any:
    method = getattr(client.chat, ("stream" if stream else "complete") + colour)
    return method(model="mistral-small", messages=ASKED, temperature=0)


def litellm(handler: str, method: str) -> Any:
    """Ask LiteLLM's own Gemini client, which is on httpx whatever SDKs are installed."""

    def opened(url: str, http: Any) -> Callable[[bool], Any]:
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else its import calls the internet
        import litellm
        from litellm.llms.custom_httpx import http_handler

        model = "gemini/gemini-2.5-flash"
        call = {"model": model, "messages": ASKED, "temperature": 0, "api_key": "x"}
        client = getattr(http_handler, handler)()
        client.client = http
        ask = functools.partial(getattr(litellm, method), **call, api_base=url, client=client)
        return lambda stream: ask(stream=stream)

    return opened


def stainless(http: ModuleType, ask: Any, kinds: tuple[Any, Any], base: str = "") -> Sdk:
    """An SDK with one class for each colour, both called alike."""

    def opening(kind: Any) -> Any:
        return lambda url, client: functools.partial(
            ask, kind(base_url=url + base, api_key="x", max_retries=0, http_client=client)
        )

    return Sdk(http, *map(opening, kinds))


def gemini_over(http: ModuleType) -> Sdk:
    def client(url: str, **given: Any) -> genai.Client:
        return genai.Client(api_key="x", http_options={"base_url": url, **given})

    return Sdk(
        http,
        lambda url, given: functools.partial(gemini, client(url, httpx_client=given).models),
        lambda url, given: functools.partial(
            gemini, client(url, httpx_async_client=given).aio.models
        ),
        lambda answer: answer.text,
        lambda chunk: chunk.text,
    )


OPENAI = (openai.OpenAI, openai.AsyncOpenAI)
ANTHROPIC = (anthropic.Anthropic, anthropic.AsyncAnthropic)
SDKS = {
    "openai": stainless(httpx2, chat_with_usage, OPENAI, "/v1"),
    "anthropic": replace(
        stainless(httpx2, messages, ANTHROPIC),
        answer=lambda answer: answer.content[0].text,
        chunk=lambda event: event.type == "content_block_delta" and event.delta.text,
    ),
    "google-genai": gemini_over(httpx2),
    "google-genai on httpx": gemini_over(httpx),
    "mistralai": Sdk(
        httpx2,
        lambda url, http: functools.partial(
            mistral, Mistral(api_key="x", server_url=url, client=http)
        ),
        lambda url, http: functools.partial(
            mistral, Mistral(api_key="x", server_url=url, async_client=http), colour="_async"
        ),
        chunk=lambda event: event.data.choices[0].delta.content,
    ),
    "groq": stainless(httpx, chat, (groq.Groq, groq.AsyncGroq)),
    "litellm": Sdk(
        httpx,
        litellm("HTTPHandler", "completion"),
        litellm("AsyncHTTPHandler", "acompletion"),
    ),
}


def text_of(answer: Any, sdk: Sdk, stream: bool) -> str:
    if not stream:
        return sdk.answer(answer)
    return "".join(piece for each in answer if isinstance(piece := sdk.chunk(each), str))


async def text_of_async(answer: Any, sdk: Sdk, stream: bool) -> str:
    if not stream:
        return sdk.answer(answer)
    return text_of([each async for each in answer], sdk, stream)


def ask_blocking(sdk: Sdk, url: str, cache: Cache, streams: tuple[bool, ...]) -> list[str]:
    with sdk.http.Client(transport=cache.transport(sdk.http.HTTPTransport())) as http:
        ask = sdk.blocking(url, http)
        return [text_of(ask(stream), sdk, stream) for stream in streams]


def ask_tasks(sdk: Sdk, url: str, cache: Cache, streams: tuple[bool, ...]) -> list[str]:
    async def main() -> list[str]:
        transport = cache.transport(sdk.http.AsyncHTTPTransport())
        async with sdk.http.AsyncClient(transport=transport) as http:
            ask = sdk.tasks(url, http)
            return [await text_of_async(await ask(stream), sdk, stream) for stream in streams]

    return asyncio.run(main())


@pytest.mark.filterwarnings("ignore:Items .* using the `ReadOnly` qualifier")  # LiteLLM's own
@pytest.mark.parametrize("streamed", [False, True], ids=["whole first", "stream first"])
@pytest.mark.parametrize(
    "turns", [(ask_blocking, ask_tasks), (ask_tasks, ask_blocking)], ids=["blocking", "tasks"]
)
@pytest.mark.parametrize("sdk", SDKS.values(), ids=SDKS)
def test_one_upstream_call_serves_both_forms_and_both_colours(
    sdk, turns, streamed, upstream, cache
):
    forms = (streamed, streamed, not streamed, not streamed)
    texts = [text for turn in turns for text in turn(sdk, upstream.url, cache, forms)]
    assert upstream.calls == 1
    assert "Retrieval-Augmented Generation (RAG)" in texts[0]
    assert texts == texts[:1] * 8
    assert cache.stats().hit == 7


# The entries are those of `wrap`, and of the other library


@pytest.mark.parametrize("wrapped_first", [True, False], ids=["wrap first", "transport first"])
@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_wrap_and_transport_share_their_entries(name, wrapped_first, upstream, cache):
    kind, base, ask = {
        "openai": (openai.OpenAI, "/v1", chat_with_usage),
        "anthropic": (anthropic.Anthropic, "", messages),
    }[name]
    settings = {"base_url": upstream.url + base, "api_key": "x"}
    transport = cache.transport(httpx2.HTTPTransport())
    bare = kind(**settings, http_client=httpx2.Client(transport=transport))
    with bare, cache.wrap(kind(**settings)) as wrapped:
        both = (wrapped, bare) if wrapped_first else (bare, wrapped)
        first, *others = [ask(client, False) for client in (*both, *both)]
        streams = [text_of(ask(client, True), SDKS[name], True) for client in both]
    assert others == [first] * 3
    assert streams == [SDKS[name].answer(first)] * 2
    assert upstream.calls == 1


@pytest.mark.parametrize("turn", [1, -1], ids=["httpx2 first", "httpx first"])
def test_the_sdks_of_both_libraries_share_their_entries(turn, upstream, cache):
    two = httpx2.Client(transport=cache.transport(httpx2.HTTPTransport()))
    one = httpx.Client(transport=cache.transport(httpx.HTTPTransport()))
    with (
        # Groq's own SDK adds this path by itself.
        openai.OpenAI(
            base_url=f"{upstream.url}/openai/v1", api_key="x", http_client=two
        ) as on_httpx2,
        groq.Groq(base_url=upstream.url, api_key="x", http_client=one) as on_httpx,
    ):
        answers = [chat(client, False) for client in (on_httpx2, on_httpx)[::turn]]
    assert answers[0].to_dict() == answers[1].to_dict()
    assert upstream.calls == 1
