"""What a fake upstream was asked, counted, for tests to read and to wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable

from askonce.testing.fake_http import HttpRequest
from askonce.testing.fake_script import RecordedRequest


class Journal:
    """Every request since the start, or since `forget`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: list[RecordedRequest] = []
        self._number = 0
        self._unanswered = 0
        self._abandoned = 0

    @property
    def requests(self) -> list[RecordedRequest]:
        """What was asked, in order of arrival."""
        with self._changed:
            return list(self._requests)

    @property
    def abandoned(self) -> int:
        """How many answers the client did not stay to read."""
        with self._changed:
            return self._abandoned

    def begin(self, read: HttpRequest) -> RecordedRequest:
        """Record a request as it arrives."""
        with self._changed:
            self._number += 1
            request = RecordedRequest(
                self._number, read.method, read.path, read.query, read.headers, read.body
            )
            self._requests.append(request)
            self._unanswered += 1
            self._changed.notify_all()
            return request

    def end(self, *, abandoned: bool) -> None:
        """Record that a request was answered, or that nobody stayed for it."""
        with self._changed:
            self._unanswered -= 1
            self._abandoned += abandoned
            self._changed.notify_all()

    def forget(self) -> None:
        """Begin the counts again."""
        with self._changed:
            self._requests.clear()
            self._abandoned = 0

    def wait_for_calls(self, calls: int, timeout: float) -> None:
        """Wait until so many requests have arrived."""
        self._wait(lambda: len(self._requests) >= calls, f"{calls} calls", timeout)

    def wait_until_idle(self, timeout: float) -> None:
        """Wait until every request that arrived is dealt with."""
        self._wait(lambda: self._unanswered == 0, "every request to be answered", timeout)

    def _wait(self, reached: Callable[[], bool], what: str, timeout: float) -> None:
        with self._changed:
            if self._changed.wait_for(reached, timeout):
                return
            had = f"{len(self._requests)} calls, {self._unanswered} of them unanswered"
        raise TimeoutError(f"waited {timeout} s for {what}: had {had}")
