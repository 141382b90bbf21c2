"""One call as the wire formats see it: a reply settled against its request."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import Any, TypeAlias

from askonce.testing.fake_script import Message, RecordedRequest, Reply, Usage

Json: TypeAlias = dict[str, Any]

Frame: TypeAlias = tuple[str | None, Json | str]
"""One event of a stream: its name, where the dialect uses names, and its data."""

_RAG = re.compile(r"\bRAG\b|(?i:retrieval[- ]augmented[- ]generation)")
_EXPLANATION = (
    "Retrieval-Augmented Generation (RAG) lets a language model look things up before it answers. "
    "A search finds the passages that fit the question, the model reads them together with the "
    "question, and the answer rests on those passages instead of on memory alone."
)
_TOKEN = re.compile(r"\s*\S+|\s+")
_PROMPTS = ("messages", "input", "contents", "prompt", "requests", "content")
_SYSTEM = ("system", "instructions", "systemInstruction")


@dataclass(frozen=True, slots=True)
class Call:
    """A request, its body, and everything the answer will say."""

    request: RecordedRequest
    body: Json
    reply: Reply
    messages: tuple[Message, ...]
    usage: Usage

    @property
    def number(self) -> int:
        """The request's number: part of every id."""
        return self.request.number

    @property
    def created(self) -> int:
        """Seconds since the epoch; no two calls share one."""
        return 1_700_000_000 + self.number

    @property
    def model(self) -> str:
        """The model asked for: in the body, or in the path (Azure, Gemini)."""
        named = re.search(r"/(?:deployments|models)/([^/:]+)", self.request.path)
        return str(self.body.get("model") or (named[1] if named else "fake-model"))


def settle(request: RecordedRequest, body: Json, reply: Reply) -> Call:
    """Decide all that the reply left open: texts, choices, usage."""
    asked = prompts(body)
    if reply.choices:
        messages = tuple(_filled(message, asked[0], 0) for message in reply.choices)
    else:
        each = range(_choices(body))
        messages = tuple(_filled(reply, prompt, index) for prompt in asked for index in each)
    return Call(request, body, reply, messages, reply.usage or _counted(body, messages))


def prompts(body: Json) -> tuple[str, ...]:
    """Read the texts to answer: the last user message, or each entry of a list of prompts."""
    listed = body.get("prompt")
    if isinstance(listed, list) and listed and not isinstance(listed[0], int):
        return tuple(map(text_of, listed))
    for field in _PROMPTS:
        if field in body:
            return (_last_user(body[field]),)
    return ("",)


def text_of(content: Any) -> str:
    """Read the words in a piece of a request, whatever the dialect wraps around them."""
    if isinstance(content, str | int | float):
        return str(content)
    if isinstance(content, list):
        return " ".join(filter(None, map(text_of, content)))
    if isinstance(content, dict):
        inner = (content.get(field) for field in ("text", "parts", "content"))
        return text_of(next(filter(None, inner), ""))
    return ""


def tokens(text: str) -> list[str]:
    """Cut a text into tokens: words, each with the space before it. Joined they are the text."""
    return _TOKEN.findall(text)


def pieces(text: str, size: int = 7) -> list[str]:
    """Cut a text into pieces of equal length, as tool arguments are streamed."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def words(content: Any) -> int:
    """Count the words in a piece of a request: the fake's idea of tokens."""
    return len(text_of(content).split())


def logprobs(message: Message, text: str) -> list[tuple[str, float]]:
    """Give each token of a text its log probability: the message's own, then made up."""
    made_up = (-0.0123457 * (1 + index % 11) for index in count())
    return list(zip(tokens(text), chain(message.logprobs, made_up), strict=False))


def _last_user(turns: Any) -> str:
    if not isinstance(turns, list):
        return text_of(turns)
    for turn in reversed(turns):
        if isinstance(turn, dict) and turn.get("role", "user") == "user":
            return text_of(turn)
    return text_of(turns[-1]) if turns else ""


def _choices(body: Json) -> int:
    config = body.get("generationConfig")
    wanted = config.get("candidateCount") if isinstance(config, dict) else body.get("n")
    return wanted if isinstance(wanted, int) and 1 <= wanted <= 128 else 1


def _filled(message: Message, prompt: str, index: int) -> Message:
    if message.text is not None or message.tool_calls or message.refusal is not None:
        return message
    text = _EXPLANATION if _RAG.search(prompt) else f"Answer to: {prompt}"
    return replace(message, text=text if index == 0 else f"{text} (choice {index + 1})")


def _counted(body: Json, messages: tuple[Message, ...]) -> Usage:
    asked = sum(words(body.get(field)) for field in (*_SYSTEM, *_PROMPTS))
    said = [message.text or message.refusal or "" for message in messages]
    called = [call.arguments for message in messages for call in message.tool_calls]
    reasoned = sum(len(tokens(message.reasoning or "")) for message in messages)
    answered = sum(len(tokens(text)) for text in said) + sum(len(pieces(text)) for text in called)
    return Usage(max(asked, 1), answered + reasoned, 0, reasoned)
