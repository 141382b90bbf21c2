"""Caching for expensive LLM API calls. Pay for an answer once. Never serve a wrong one."""

from __future__ import annotations

from askonce.cache import Cache
from askonce.documents import Document
from askonce.errors import (
    Ambiguous,
    AskonceError,
    ConfigError,
    NotCached,
    StoreError,
    UpstreamLost,
)
from askonce.journal import Stats
from askonce.model import Entry, Outcome, Reason
from askonce.policy import Models, Policy
from askonce.rules import Rule
from askonce.semantic.tiers import Semantic
from askonce.surfaces.judging import model_judge

__all__ = [
    "Ambiguous",
    "AskonceError",
    "Cache",
    "ConfigError",
    "Document",
    "Entry",
    "Models",
    "NotCached",
    "Outcome",
    "Policy",
    "Reason",
    "Rule",
    "Semantic",
    "Stats",
    "StoreError",
    "UpstreamLost",
    "model_judge",
]

__version__ = "0.1.0"
