"""Connections that are held: a command costs its round trip, and little more.

A client of redis-py takes a connection from its pool for each command, looks whether it is still
alive, and gives it back: a fifth of a round trip to this machine. These take theirs once. The
connections themselves are redis-py's: they connect, greet, verify and try again as they always do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

from redis.exceptions import RedisError, ResponseError

Command: TypeAlias = tuple[Any, ...]

LANES = 4
"""Connections that one loop holds. What its tasks ask while all are busy goes together."""

AT_ONCE = 2**18
"""Bytes that go together, or the one command that is larger."""

FAILED_BEFORE = "it failed those who asked before"


def packed(commands: Sequence[Command]) -> bytes:
    """Write commands as the server reads them: each an array of strings.

    https://redis.io/docs/latest/develop/reference/protocol-spec/. For tasks redis-py takes twice
    as long.
    """
    written = []
    for command in commands:
        parts: list[Any] = [len(command)]
        for word in command:
            text = word if isinstance(word, bytes) else str(word).encode()
            parts += (len(text), text)
        written.append((b"*%d\r\n" + b"$%d\r\n%b\r\n" * len(command)) % tuple(parts))
    return b"".join(written)


class ThreadConnections:
    """Connections of a pool, each for one thread at a time."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._idle: list[Any] = []

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one round trip. Errors of single commands are among the answers."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._pool.get_connection()
        try:
            connection.connect()
            answers: list[Any] = connection.retry.call_with_retry(
                lambda: _ask(connection, commands), lambda _: connection.disconnect()
            )
        except BaseException:
            # An interrupt may come when half of the answers are read.
            connection.disconnect()
            raise
        finally:
            self._idle.append(connection)
        return answers


def _ask(connection: Any, commands: Sequence[Command]) -> list[Any]:
    # Here, so that a second try asks for the address again: after a failover it is another.
    connection.connect()
    connection.send_packed_command([packed(commands)])
    return [_answer(connection) for _ in commands]


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


class _Asked(NamedTuple):
    """What a task asks while all connections are busy."""

    text: bytes
    size: int
    answers: asyncio.Future[list[Any]]


class LoopConnections:
    """A few connections of a pool, for all tasks of one loop.

    A task that finds one free has it to itself. The others wait, and the first that becomes free
    takes what all of them ask, in one round trip.
    """

    def __init__(self, pool: Any, lanes: int = LANES) -> None:
        self._free = [_Lane(pool) for _ in range(lanes)]
        self._waiting: deque[_Asked] = deque()
        self._serving: set[asyncio.Task[None]] = set()

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one round trip. Errors of single commands are among the answers.

        When a server fails one task, it fails all who wait.
        """
        text, count = packed(commands), len(commands)
        if not self._free:
            asked = _Asked(text, count, asyncio.get_running_loop().create_future())
            self._waiting.append(asked)
            return await asked.answers
        lane = self._free.pop()
        try:
            return await lane.ask(text, count)
        except Exception:
            _fail(self._waiting, RedisError(FAILED_BEFORE))
            raise
        finally:
            self._go_on(lane)

    def _go_on(self, lane: _Lane) -> None:
        if not self._waiting:
            self._free.append(lane)
            return
        # In a task of its own: whoever is cancelled takes nobody along.
        task = asyncio.get_running_loop().create_task(self._serve(lane))
        self._serving.add(task)

        def done(ended: asyncio.Task[None]) -> None:
            # Not in the task: one that is cancelled before its first step has no `finally`.
            self._serving.discard(ended)
            if ended.cancelled():
                _fail(self._waiting, RedisError(FAILED_BEFORE))
            # Somebody may have come since it found nobody waiting.
            self._go_on(lane)

        task.add_done_callback(done)

    async def _serve(self, lane: _Lane) -> None:
        """Send what the others wait for until there is nothing left."""
        while batch := self._batch():
            try:
                text = b"".join([asked.text for asked in batch])
                found = await lane.ask(text, sum([asked.size for asked in batch]))
            except Exception as error:  # noqa: BLE001 (each of them raises it)
                _fail(batch, error)
                _fail(self._waiting, RedisError(FAILED_BEFORE))
            except BaseException:
                _fail(batch, RedisError(FAILED_BEFORE))
                raise
            else:
                answers = iter(found)
                for asked in batch:
                    own = list(islice(answers, asked.size))
                    if not asked.answers.done():
                        asked.answers.set_result(own)

    def _batch(self) -> deque[_Asked]:
        batch: deque[_Asked] = deque()
        size = 0
        while self._waiting and (not batch or size + len(self._waiting[0].text) <= AT_ONCE):
            asked = self._waiting.popleft()
            if not asked.answers.done():
                batch.append(asked)
                size += len(asked.text)
        return batch


class _Lane:
    """One connection of a loop, from its first use on."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._connection: Any = None

    async def ask(self, text: bytes, count: int) -> list[Any]:
        """Send commands as they are written, and return as many answers."""
        if self._connection is None:
            self._connection = await self._pool.get_connection()
        connection = self._connection

        async def attempt() -> list[Any]:
            # Here, so that a second try asks for the address again: after a failover it is another.
            if not connection.is_connected:
                await connection.connect()
            await connection.send_packed_command([text])
            answers = []
            for _ in range(count):
                try:
                    answers.append(await connection.read_response())
                except ResponseError as error:
                    answers.append(error)
            return answers

        answers: list[Any] = await connection.retry.call_with_retry(
            attempt, lambda _: connection.disconnect()
        )
        return answers


def _fail(those: deque[_Asked], error: Exception) -> None:
    while those:
        answers = those.popleft().answers
        if not answers.done():
            answers.set_exception(error)
