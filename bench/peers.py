"""The rivals, set up as their users would: each is imported only when it is measured."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import workload

PACKAGES = ("litellm", "dspy", "langchain-core", "langchain-openai", "langchain-community")


def keep_quiet(folder: str) -> None:
    """Keep peers from calling home, and from writing outside `folder`. Call before any import."""
    os.environ.update(
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        LITELLM_TELEMETRY="False",
        LITELLM_LOG="ERROR",
        DSPY_CACHEDIR=folder,
        LANGSMITH_TRACING="false",
        LANGCHAIN_TRACING_V2="false",
        OPENAI_API_KEY="unused",
    )


# The tutorial


def tutorial_key(messages: list[dict[str, Any]], model: str, **parameters: Any) -> str:
    """Make a key as the tutorial does."""
    payload = {"messages": messages, "model": model, **parameters}
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()


class Tutorial:
    """A dict from such keys to the answers' texts."""

    def __init__(self) -> None:
        self._answers: dict[str, str] = {}

    def get(self, **request: Any) -> str | None:
        """Look a text up."""
        key = tutorial_key(**request)
        if key in self._answers:
            return self._answers[key]
        return None

    def put(self, answer: str, **request: Any) -> None:
        """Keep a text."""
        self._answers[tutorial_key(**request)] = answer


# LiteLLM


def litellm_cache(kind: str = "local", **options: Any) -> Any:
    """Make a cache that also takes conversations of more than 4 messages, its default."""
    from litellm.caching.caching import Cache

    return Cache(type=kind, max_messages=None, **options)


def litellm_response() -> Any:
    """Make the answer as LiteLLM's own object."""
    import litellm

    return litellm.ModelResponse(**workload.answer())


def litellm_calls(*, asynchronous: bool = False) -> Any:
    """Return LiteLLM's completion, cached in memory."""
    import litellm

    litellm.cache = litellm_cache()
    return litellm.acompletion if asynchronous else litellm.completion


def litellm_settled() -> None:
    """Let LiteLLM's own thread put what was just answered into its cache."""
    time.sleep(0.5)


# DSPy


def dspy_cache(folder: str | None = None) -> Any:
    """Make a DSPy cache in memory, or on disk alone."""
    from dspy.clients.cache import Cache

    if folder is None:
        return Cache(enable_disk_cache=False, enable_memory_cache=True, disk_cache_dir=None)
    return Cache(
        enable_disk_cache=True,
        enable_memory_cache=False,
        disk_cache_dir=tempfile.mkdtemp(dir=folder),
        disk_size_limit_bytes=2**33,
    )


# LangChain


def langchain_model(**options: Any) -> Any:
    """Make LangChain's OpenAI model with its cache in memory."""
    from langchain_core.caches import InMemoryCache
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(
        model=workload.MODEL, temperature=0, max_retries=0, cache=InMemoryCache(), **options
    )


def langchain_messages(request: dict[str, Any]) -> list[Any]:
    """Write a request's messages as LangChain's objects."""
    from langchain_core.messages import convert_to_messages

    return convert_to_messages(request["messages"])


def langchain_sqlite(path: str) -> Any:
    """Make LangChain's SQLite cache."""
    from langchain_community.cache import SQLiteCache

    warnings.simplefilter("ignore")  # LangChain puts its own warnings before ours
    return SQLiteCache(path)


def langchain_cache(
    cache: Any,
) -> tuple[Callable[[list[Any]], Any], Callable[[list[Any]], None]]:
    """Return the lookup and the update of a LangChain cache, as its chat models call them."""
    from langchain_core.load import dumps
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration

    model = json.dumps({"model": workload.MODEL, "temperature": 0}, sort_keys=True)

    def lookup(messages: list[Any]) -> Any:
        return cache.lookup(dumps(messages), model)

    def update(messages: list[Any]) -> None:
        text = f"{workload.ANSWER_TEXT}."  # a text of its own for each entry
        cache.update(dumps(messages), model, [ChatGeneration(message=AIMessage(content=text))])

    return lookup, update
