"""The wire formats of the providers: the only code that knows them. Pure."""

from __future__ import annotations

from askonce.dialects.anthropic import MESSAGES
from askonce.dialects.contract import Dialect, Facts, Json
from askonce.dialects.gemini import GEMINI
from askonce.dialects.openai_chat import CHAT
from askonce.dialects.openai_completions import COMPLETIONS
from askonce.dialects.openai_embeddings import EMBEDDINGS
from askonce.dialects.openai_responses import RESPONSES

__all__ = ["ALL", "Dialect", "Facts", "Json", "find", "named"]

ALL: tuple[Dialect, ...] = (CHAT, RESPONSES, MESSAGES, EMBEDDINGS, COMPLETIONS, GEMINI)


def find(path: str) -> Dialect | None:
    """Return the dialect that a URL's path (without its query) belongs to."""
    return next((dialect for dialect in ALL if dialect.matches(path)), None)


def named(name: str) -> Dialect | None:
    """Return the dialect of this name."""
    return next((dialect for dialect in ALL if dialect.name == name), None)
