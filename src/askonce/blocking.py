"""Finish a coroutine that never waits, without an event loop."""

from __future__ import annotations

import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Here(threading.local):
    running = False


_here = _Here()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Finish `work`, which must not wait, and return its value."""
    outer, _here.running = _here.running, True
    try:
        work.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    finally:
        _here.running = outer
        work.close()
    raise RuntimeError(f"{work!r} tried to wait inside a blocking call")


def is_running() -> bool:
    """Say whether this thread is inside `run`, so that its I/O must block.

    A store with connections of both kinds asks this. A running loop says nothing: a blocking
    client may be called from a task.
    """
    return _here.running
