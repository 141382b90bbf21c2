"""The demo: the official clients, wrapped, against a local stand-in for the providers.

Everything it prints was measured in that run. A hit whose answer is not the one that was paid for
ends it with an error.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from askonce.cache import Cache
from askonce.commands.amounts import counted, size, span
from askonce.commands.measuring import (
    Said,
    Step,
    Table,
    WrongAnswerError,
    measure,
    measure_async,
)
from askonce.commands.terminal import say
from askonce.errors import AskonceError, ConfigError
from askonce.testing.fake_call import prompts, tokens
from askonce.testing.fake_script import RecordedRequest, Reply
from askonce.testing.fake_upstream import FakeUpstream

FIRST_TOKEN, EACH_TOKEN = 0.8, 0.015
"""Seconds that the stand-in takes."""

MODEL, CLAUDE = "gpt-4o-mini", "claude-haiku-4-5"
"""Both take temperature 0."""

AT_ONCE, REPEATS = 100, 1000

ANSWERS = {
    "Why is the sky blue?": "Air scatters the short waves of sunlight more than the long ones, so "
    "blue light reaches the eye from every side, and the rest comes straight from the sun.",
    "What is a cache?": "A place that keeps the answer to a question, so that whoever asks the "
    "same question again need neither wait for it nor pay for it.",
    "What is a flight?": "One call that is on its way. Whoever asks the same meanwhile waits for "
    "its answer instead of making another one.",
    "What is Retrieval-Augmented Generation?": "Retrieval-Augmented Generation (RAG) is a "
    "technique in AI that has a language model look up passages from a collection of documents, "
    "and answer from these passages.",
    "Write a line of verse.": "The sea has kept no page of what it said.",
}


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the calls go: to a stand-in's address, or to the real providers when it is empty."""

    address: str
    calls: Callable[[], int] | None = None

    def openai(self, kind: str = "OpenAI") -> Any:
        """Make an official OpenAI client."""
        import openai

        make = getattr(openai, kind)
        if not self.address:
            return make()
        # A proxy in the environment would be asked for 127.0.0.1 too.
        http = getattr(openai, f"Default{kind.removesuffix('OpenAI')}HttpxClient")
        url = f"{self.address}/v1"
        return make(base_url=url, api_key="none", http_client=http(trust_env=False))

    def anthropic(self) -> Any:
        """Make an official Anthropic client."""
        import anthropic

        if not self.address:
            return anthropic.Anthropic()
        # This one looks at the environment whatever it is told; a mount of our own comes first.
        direct: Any = {"all://127.0.0.1": None}
        http = anthropic.DefaultHttpxClient(trust_env=False, mounts=direct)
        return anthropic.Anthropic(base_url=self.address, api_key="none", http_client=http)


# What is asked


def chat(client: Any, text: str, **more: Any) -> Said:
    """Ask OpenAI, and read the answer whole."""
    return _read(client.chat.completions.create(**{**_question(text), **more}))


async def chat_async(client: Any, text: str) -> Said:
    """Ask OpenAI with its async client."""
    return _read(await client.chat.completions.create(**_question(text)))


def streamed(client: Any, text: str) -> Said:
    """Ask OpenAI, and read the answer as a stream."""
    stream = client.chat.completions.create(
        **_question(text), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    said = "".join(part.choices[0].delta.content or "" for part in chunks if part.choices)
    return Said(said, next((part.usage.total_tokens for part in chunks if part.usage), 0))


def message(client: Any, text: str) -> Said:
    """Ask Anthropic."""
    answer = client.messages.create(
        model=CLAUDE,
        max_tokens=300,
        messages=[{"role": "user", "content": text}],
        # The SDK takes temperature only here since 1.0.
        extra_body={"temperature": 0},
    )
    said = "".join(part.text for part in answer.content if part.type == "text")
    return Said(said, answer.usage.input_tokens + answer.usage.output_tokens)


def _question(text: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": MODEL, "messages": messages, "max_tokens": 300, "temperature": 0}


def _read(answer: Any) -> Said:
    return Said(answer.choices[0].message.content or "", answer.usage.total_tokens)


# The demo


def show(*, real: bool) -> int:
    """Run the demo and return its exit code."""
    openai, anthropic = _wanted(real=real)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        upstream = Upstream("") if real else stack.enter_context(_stand_in())
        file = Path(folder) / "answers.db"
        cache = stack.enter_context(Cache(f"sqlite:///{file}"))
        table = Table(upstream.calls)
        _introduce(real=real)
        table.header()
        with _one_line_errors():
            if openai:
                client = stack.enter_context(cache.wrap(upstream.openai()))
                _whole(table, cache, client, upstream, file)
                _streams(table, cache, client)
                _rest(table, cache, client)
            if anthropic:
                client = stack.enter_context(cache.wrap(upstream.anthropic()))
                _claude(table, cache, client)
            if openai:
                _reworded(table, stack.enter_context(upstream.openai()))
        _conclude(table, cache)
    return 0


def _whole(table: Table, cache: Cache, client: Any, upstream: Upstream, file: Path) -> None:
    text = "What is RAG?"

    def ask() -> Said:
        return chat(client, text)

    miss = table.add("OpenAI: a question", measure(cache, ask))
    table.add("  the same again", measure(cache, ask), miss)
    table.repeat(f"  {REPEATS:,} times: the median", REPEATS, ask, miss)
    stream = measure(cache, lambda: streamed(client, text))
    table.add("  the same, as a stream", stream, miss)
    table.add("  from the async client", asyncio.run(_from_task(cache, upstream, text)), miss)
    table.add("  in another process", _elsewhere(upstream, file), miss)


def _streams(table: Table, cache: Cache, client: Any) -> None:
    text = "Why is the sky blue?"

    def ask() -> Said:
        return streamed(client, text)

    miss = table.add("OpenAI: a stream", measure(cache, ask))
    table.add("  the same again", measure(cache, ask), miss)
    whole = measure(cache, lambda: chat(client, text))
    table.add("  the same, read whole", whole, miss)


def _rest(table: Table, cache: Cache, client: Any) -> None:
    table.add(f"{AT_ONCE} equal calls at once", measure(cache, lambda: _at_once(client)))
    warm = measure(cache, lambda: chat(client, "Write a line of verse.", temperature=0.7))
    table.add("temperature 0.7", warm)


def _claude(table: Table, cache: Cache, client: Any) -> None:
    def ask() -> Said:
        return message(client, "What is a cache?")

    miss = table.add("Anthropic: a question", measure(cache, ask))
    table.add("  the same again", measure(cache, ask), miss)


def _reworded(table: Table, client: Any) -> None:
    try:
        cache = Cache("memory://", semantic=True)
    except ConfigError:
        say('Other words: needs pip install "askonce[semantic]"')
        return
    with cache:
        cache.wrap(client)

        def asked(text: str) -> Step:
            return measure(cache, lambda: chat(client, text))

        meant = "What is Retrieval-Augmented Generation?"
        miss = table.add("Other words: a question", asked(meant))
        table.add("  explain RAG in AI", asked("Can you explain RAG in AI?"), miss)
        table.add("  RAG in immunology", asked("What is RAG in immunology?"))
        table.add("  AI in 2023", asked("What happened in AI in 2023?"))
        table.add("  AI in 2024", asked("What happened in AI in 2024?"))


async def _from_task(cache: Cache, upstream: Upstream, text: str) -> Step:
    async with cache.wrap(upstream.openai("AsyncOpenAI")) as client:
        return await measure_async(cache, lambda: chat_async(client, text))


def _at_once(client: Any) -> Said:
    ready = threading.Barrier(AT_ONCE)

    def ask() -> Said:
        ready.wait()
        return chat(client, "What is a flight?")

    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = [future.result() for future in [threads.submit(ask) for _ in range(AT_ONCE)]]
    if any(answer != answers[0] for answer in answers):
        raise WrongAnswerError("equal calls at once were given different answers")
    return answers[0]


def _elsewhere(upstream: Upstream, file: Path) -> Step:
    """Ask the first question once more from a process of its own."""
    command = [sys.executable, "-m", "askonce.demo", str(file), upstream.address]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 (our own module)
    if done.returncode:
        problem = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise AskonceError(f"the other process failed: {problem}")
    return msgspec.json.decode(done.stdout, type=Step)


def _in_child(file: str, address: str) -> None:
    with Cache(f"sqlite:///{file}") as cache, cache.wrap(Upstream(address).openai()) as client:
        step = measure(cache, lambda: chat(client, "What is RAG?"))
    sys.stdout.buffer.write(msgspec.json.encode(step))


# Before and after


def _wanted(*, real: bool) -> tuple[bool, bool]:
    """Say which providers to ask: OpenAI, Anthropic. Raises ConfigError if that cannot be."""
    try:
        import anthropic  # noqa: F401 (only whether it is there)
        import openai  # noqa: F401
    except ImportError as missing:
        raise ConfigError(
            f"the demo needs the official clients, and {missing.name} is not installed: "
            'pip install "askonce[demo]"'
        ) from missing
    if not real:
        return True, True
    keys = [bool(os.environ.get(name)) for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")]
    if not any(keys):
        raise ConfigError(
            "--real needs OPENAI_API_KEY or ANTHROPIC_API_KEY in the environment; "
            "`askonce demo` alone needs no key"
        )
    return keys[0], keys[1]


@contextmanager
def _stand_in() -> Iterator[Upstream]:
    with FakeUpstream(_pace) as fake:
        yield Upstream(fake.url, lambda: fake.calls)


def _pace(request: RecordedRequest) -> Reply:
    """Answer as slowly as a model does: a whole answer takes as long as its stream."""
    body = request.json
    text = ANSWERS.get(prompts(body)[0])
    if body.get("stream"):
        return Reply(text=text, delay=FIRST_TOKEN, pause=EACH_TOKEN)
    return Reply(text=text, delay=FIRST_TOKEN + EACH_TOKEN * len(tokens(text or " a" * 45)))


def _introduce(*, real: bool) -> None:
    if real:
        say("The official clients call the real providers.")
    else:
        say("The official clients call a local server: no key and no network are needed.")
        first, each = FIRST_TOKEN * 1000, EACH_TOKEN * 1000
        say(f"It takes {first:.0f} ms to the first token and {each:.0f} ms to each further one.")
    say("The cache is a new SQLite file.")
    say()


def _conclude(table: Table, cache: Cache) -> None:
    answers = [entry for _, entry in cache.entries() if entry.kind != "alias"]
    say()
    made, asked = table.made, table.made + table.saved
    say(f"upstream calls     {made} made, {table.saved} saved")
    say(f"factor saved       {asked / made:.0f} x: {asked} calls for the price of {made}")
    say(f"tokens not bought  {table.tokens:,}")
    say(f"waiting saved      {span(table.seconds)}")
    say(f"answers compared   {counted(table.compared, 'hit')}, all equal to what was paid for")
    kept = size(sum(len(entry.body) for entry in answers))
    say(f"now in the cache   {counted(len(answers), 'answer')}, {kept}")


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Say what a provider refuses in one line: a wrong key, an unknown model, no network."""
    import anthropic
    import openai

    try:
        yield
    except (openai.OpenAIError, anthropic.AnthropicError) as error:
        raise AskonceError(f"the provider did not answer: {error}") from error


if __name__ == "__main__":
    _in_child(sys.argv[1], sys.argv[2])
