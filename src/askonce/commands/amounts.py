"""Numbers as people read them: sizes, spans of time, counts."""

from __future__ import annotations

import time

_SIZES = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
_SPANS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def size(count: int) -> str:
    """Write bytes: "812 B", "4.1 kB", "1.2 GB"."""
    for unit, name in _SIZES:
        if count >= unit:
            return f"{_three(count / unit)} {name}"
    return f"{count} B"


def span(seconds: float) -> str:
    """Write a span of time in three digits at most: "21 µs", "1.62 s", "6 d"."""
    if seconds < 0.001:
        return f"{_three(seconds * 1e6)} µs"
    if seconds < 1:
        return f"{_three(seconds * 1e3)} ms"
    for unit, name in _SPANS:
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{_three(seconds)} s"


def age(seconds: float) -> str:
    """Write how old something is, in whole units."""
    return f"{max(0, int(seconds))} s" if seconds < 60 else span(seconds)


def moment(when: float) -> str:
    """Write a moment in local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))


def counted(number: int, one: str, many: str = "") -> str:
    """Write a number of things: "1 entry", "2,000 entries"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _three(number: float) -> str:
    if number >= 99.95:
        return f"{number:.0f}"
    return f"{number:.1f}" if number >= 9.995 else f"{number:.2f}"
