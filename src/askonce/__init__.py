"""Caching for expensive LLM API calls. Pay for an answer once. Never serve a wrong one."""

from __future__ import annotations

from askonce.cache import Cache
from askonce.errors import Ambiguous, AskonceError, ConfigError, StoreError, UpstreamLost
from askonce.journal import Stats
from askonce.model import Entry, Outcome, Reason
from askonce.policy import Models, Policy

__all__ = [
    "Ambiguous",
    "AskonceError",
    "Cache",
    "ConfigError",
    "Entry",
    "Models",
    "Outcome",
    "Policy",
    "Reason",
    "Stats",
    "StoreError",
    "UpstreamLost",
]

__version__ = "0.1.0"
