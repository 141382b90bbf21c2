"""Checks of the SDKs that are installed, and whether `wrap` knows them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from askonce.cache import Cache
from askonce.commands.checks import Check
from askonce.errors import ConfigError
from askonce.surfaces import create

WRAPPED = {"openai": "OpenAI", "anthropic": "Anthropic", "groq": "Groq"}
"""Distributions whose clients `wrap` takes."""

TRANSPORTED = ("google-genai", "mistralai", "litellm", "ollama")
"""Distributions that take an HTTP client with a transport of ours."""


def sdks() -> Iterator[Check]:
    """Try each SDK that is installed on a client that calls nobody."""
    found = [_wrapped(name, kind) for name, kind in WRAPPED.items() if _version(name)]
    found += [_transported(name) for name in TRANSPORTED if _version(name)]
    yield from found
    if not found:
        yield Check(
            "SDKs", "warn", "none that askonce knows is installed", "pip install openai anthropic"
        )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _wrapped(name: str, kind: str) -> Check:
    try:
        make: Any = getattr(importlib.import_module(name), kind)
        with make(api_key="none", base_url="http://127.0.0.1:9") as client:
            Cache("memory://").wrap(client)
        known = create.TARGETS.get(f"{make.__module__.removesuffix('._client')}.{kind}")
    except (ConfigError, AttributeError, ImportError, TypeError) as error:
        return Check(
            name,
            "warn",
            f"{_version(name)}: wrap does not know it ({error})",
            "pip install --upgrade askonce, or use cache.transport",
        )
    way = "the fast path and the transport" if known else "the transport"
    return Check(name, "ok", f"{_version(name)}: cache.wrap({kind}()) by {way}")


def _transported(name: str) -> Check:
    return Check(name, "ok", f"{_version(name)}: an HTTP client with cache.transport(inner)")
