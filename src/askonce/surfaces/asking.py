"""The one-liner: ask a model one question at temperature 0."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, NamedTuple

from askonce.errors import ConfigError
from askonce.policy import Models


class Answer(NamedTuple):
    """What a model said, and whether it came from the cache."""

    text: str
    from_cache: bool


class Clients:
    """The official clients that were made for questions, one for each SDK."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def of(self, model: str) -> Any:
        """Return the client for a model's name."""
        sdk = "anthropic" if model.rpartition("/")[2].startswith("claude") else "openai"
        if sdk not in self._made:
            self._made[sdk] = default_client(model)
        return self._made[sdk]

    def close(self) -> None:
        """Close all of them; they are made again when they are asked for."""
        while self._made:
            _, client = self._made.popitem()
            client.close()


def default_client(model: str) -> Any:
    """Make the official client for a model's name, from its own environment variables."""
    try:
        if model.rpartition("/")[2].startswith("claude"):
            from anthropic import Anthropic

            return Anthropic()
        from openai import OpenAI

        return OpenAI()
    except ImportError as missing:
        raise ConfigError(
            f"asking {model} needs its SDK: pip install {missing.name}, or pass client=..."
        ) from missing


def ask(client: Any, prompt: str, model: str, models: Models, parameters: dict[str, Any]) -> Any:
    """Ask through a client; an async client gives a coroutine. Returns the text of the answer."""
    messages = [{"role": "user", "content": prompt}]
    # Models without the knob reject it; everybody else is pinned, as only 0 is cached.
    pin = {"temperature": 0} if models.pinnable(models.real(model)) else {}
    if hasattr(client, "chat"):
        call = client.chat.completions.create(
            model=model, messages=messages, **{**pin, **parameters}
        )
        return _read(call, lambda answer: answer.choices[0].message.content or "")
    if hasattr(client, "messages"):
        named = {"max_tokens": 1024, **parameters}
        # The Anthropic SDK takes temperature only in extra_body since 1.0.
        pinned = {**pin, **{k: named.pop(k) for k in ("temperature",) if k in named}}
        extra = {**pinned, **named.pop("extra_body", {})}
        call = client.messages.create(model=model, messages=messages, extra_body=extra, **named)
        return _read(
            call,
            lambda answer: "".join(part.text for part in answer.content if part.type == "text"),
        )
    raise ConfigError(
        f"{type(client).__qualname__} cannot be asked; pass an OpenAI or Anthropic client"
    )


def _read(call: Any, text: Any) -> Any:
    if isinstance(call, Coroutine):

        async def later() -> str:
            return str(text(await call))

        return later()
    return str(text(call))
