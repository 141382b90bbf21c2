"""A model of an official client as the judge of two answers."""

from __future__ import annotations

from typing import Any

from askonce.errors import ConfigError
from askonce.policy import Models
from askonce.semantic.judges import LanguageModel
from askonce.surfaces import asking


def model_judge(client: Any, model: str) -> LanguageModel:
    """Return a judge for `Semantic(judge=...)` that asks a model through a blocking client.

    It is asked in a thread of its own, after a call was answered, with both questions and both
    answers. Raises ConfigError for an async client.
    """
    if type(client).__name__.startswith("Async"):
        raise ConfigError("a judge is asked from a thread of its own: give it a blocking client")

    def ask(prompt: str) -> str:
        return str(asking.ask(client, prompt, model, Models.shipped(), {}))

    return LanguageModel(ask)
