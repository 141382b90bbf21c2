"""Spans of time and sizes as people write them: "24h", "7d", "512MB"."""

from __future__ import annotations

import re

from askonce.errors import ConfigError

SECONDS = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
    "y": 31536000.0,
}
BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}

_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]+)\s*")


def seconds(span: str | float | None) -> float | None:
    """Read a span of time: a number of seconds, "90s", "15m", "24h", "7d"; None is for ever."""
    if span is None:
        return None
    if isinstance(span, str):
        span = _amount(span, SECONDS, "a span of time such as '90s', '24h' or '7d'")
    if not span > 0 or span == float("inf"):
        raise ConfigError(
            f"{span!r} is not a span of time: use a positive number of seconds or None"
        )
    return float(span)


def size(amount: str | int) -> int:
    """Read a size in bytes: a number, "512MB", "2GiB"."""
    if isinstance(amount, str):
        amount = int(_amount(amount, BYTES, "a size such as '64MB' or '2GiB'"))
    if amount <= 0:
        raise ConfigError(f"{amount!r} is not a size: use a positive number of bytes")
    return int(amount)


def _amount(text: str, units: dict[str, float] | dict[str, int], example: str) -> float:
    found = _AMOUNT.fullmatch(text)
    if found is None or found[2].lower() not in units:
        raise ConfigError(f"{text!r} is not {example}; known units: {', '.join(units)}")
    return float(found[1]) * units[found[2].lower()]
