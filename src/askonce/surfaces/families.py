"""httpx and httpx2: one shape, other classes. Which one a request belongs to decides ours."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from askonce.blocking import run
from askonce.dialects.contract import Dialect, Facts
from askonce.errors import UpstreamLost
from askonce.replay import show_piece
from askonce.streams import Reader, leave


@dataclass(frozen=True, slots=True)
class Family:
    """The classes of one HTTP library that a transport must speak."""

    Response: Any
    Request: Any
    ByteStream: Any
    SharedStream: Any
    """A response stream, blocking and async, that follows a tape."""


def family_of(request: Any) -> Family:
    """Return the family that a request object belongs to."""
    return _family(type(request).__module__.partition(".")[0])


@cache
def _family(name: str) -> Family:
    module: Any = importlib.import_module(name)
    shared = type("SharedStream", (Following, module.SyncByteStream, module.AsyncByteStream), {})
    return Family(module.Response, module.Request, module.ByteStream, shared)


class Following:
    """Gives out what a reader finds on its tape, the way its caller asked to see it."""

    def __init__(self, reader: Reader, dialect: Dialect, facts: Facts, request: Any) -> None:
        self._reader = reader
        self._dialect = dialect
        self._facts = facts
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        with _as_read_errors(self._request):
            while (piece := run(self._reader.next())) is not None:
                if seen := show_piece(self._dialect, piece, self._facts):
                    yield seen

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_read_errors(self._request):
            while (piece := await self._reader.next()) is not None:
                if seen := show_piece(self._dialect, piece, self._facts):
                    yield seen

    def close(self) -> None:
        self._reader.leave()

    async def aclose(self) -> None:
        await leave(self._reader)


@contextmanager
def _as_read_errors(request: Any) -> Iterator[None]:
    """Tell a follower's troubles in the words of its HTTP library, which its SDK understands."""
    module: Any = importlib.import_module(type(request).__module__.partition(".")[0])
    try:
        yield
    except UpstreamLost as error:
        raise module.ReadError(str(error), request=request) from error
    except TimeoutError as error:
        raise module.ReadTimeout(str(error), request=request) from error
