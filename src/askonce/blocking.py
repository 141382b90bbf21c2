"""Finish a coroutine that never waits, without an event loop."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Finish `work`, which must not wait, and return its value."""
    try:
        work.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    finally:
        work.close()
    raise RuntimeError(f"{work!r} tried to wait inside a blocking call")
