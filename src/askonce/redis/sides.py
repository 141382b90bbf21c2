"""The two kinds of connections: one side for threads, one for the tasks of each loop.

A client of redis-py raises when all of its connections are in use; a side lets callers wait for
their turn instead, unless the server fails those before them. Calls that wait for news have turns
of their own. Which connection a cluster wants is for its client to say; others are held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from redis.exceptions import NoScriptError, ResponseError

from askonce.errors import StoreError
from askonce.redis import clients
from askonce.redis.address import Address
from askonce.redis.held import FAILED_BEFORE, LANES, Command, LoopConnections, ThreadConnections

T = TypeVar("T")

PATIENCE = 1.0
"""Seconds to wait for a turn while the server answers those before."""


class ThreadSide:
    """Sends commands from any thread."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._making: dict[float, clients.Crowd] = {}
        self._turns = _queue(address.connections)
        self._waits = _queue(address.connections)
        self._failures = 0
        self._clients: dict[float, Any] = {}
        self._held: dict[float, ThreadConnections] = {}

    def send(self, commands: Sequence[Command], patience: float = 0.0) -> list[Any]:
        """Send commands in one round trip. Errors of single commands are among the answers."""
        if not self._address.cluster:
            return self._in_turn(lambda: self._connections(patience).ask(commands))

        def together(client: Any) -> list[Any]:
            if len(commands) == 1:
                return [client.execute_command(*commands[0])]
            with client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                answers: list[Any] = pipeline.execute(raise_on_error=False)
            return answers

        try:
            return self.work(together, patience)
        except NoScriptError as error:
            return [error]

    def work(self, do: Callable[[Any], T], patience: float = 0.0) -> T:
        """Do some work with a client that waits so many seconds longer for each answer."""
        return self._in_turn(lambda: do(self._client(patience)))

    def _in_turn(self, do: Callable[[], T]) -> T:
        self._take_turn()
        try:
            return do()
        except ResponseError:
            raise
        except Exception:
            self._failures += 1
            raise
        finally:
            self._turns.put(None)

    def wait(self, command: Command, seconds: float) -> Any:
        """Send a command that lets the server wait so long before it answers."""
        # Each of those before us waits no longer than it said.
        self._waits.get()
        try:
            return self._client(seconds).execute_command(*command)
        finally:
            self._waits.put(None)

    def _take_turn(self) -> None:
        failures = self._failures
        try:
            self._turns.get_nowait()
        except Empty:
            try:
                self._turns.get(timeout=PATIENCE)
            except Empty as error:
                raise _in_use(self._address) from error
        if failures != self._failures:
            self._turns.put(None)
            raise _failed_before(self._address)

    def _connections(self, patience: float) -> ThreadConnections:
        held = self._held.get(patience)
        if held is None:
            pool = self._client(patience).connection_pool
            held = self._held.setdefault(patience, ThreadConnections(pool))
        return held

    def _client(self, patience: float) -> Any:
        if patience not in self._clients:
            # A client of a cluster looks for its nodes at once.
            wait = self._address.once + patience
            crowd = self._making.setdefault(patience, clients.Crowd(wait))
            crowd.attempt(lambda: self._make(patience))
        return self._clients[patience]

    def _make(self, patience: float) -> None:
        if patience not in self._clients:
            self._clients[patience] = clients.blocking(self._address, patience=patience)

    def close(self) -> None:
        """Close all connections."""
        made, self._clients, self._held = self._clients, {}, {}
        for client in made.values():
            clients.close(client)


class LoopSide:
    """Sends commands from the tasks of one loop."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._turns = asyncio.Semaphore(address.connections)
        self._waits = asyncio.Semaphore(address.connections)
        self._failures = 0
        self._clients: dict[float, Any] = {}
        self._held: LoopConnections | None = None

    async def send(self, commands: Sequence[Command], patience: float = 0.0) -> list[Any]:
        """Send commands in one round trip. Errors of single commands are among the answers."""
        if not (self._address.cluster or patience):
            try:
                return await self._connections().ask(commands)
            except Exception:
                self._failures += 1
                raise

        async def together(client: Any) -> list[Any]:
            if len(commands) == 1:
                return [await client.execute_command(*commands[0])]
            pipeline = client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
            return answers

        try:
            return await self._work(together, patience)
        except NoScriptError as error:
            return [error]

    async def _work(self, do: Callable[[Any], Awaitable[T]], patience: float = 0.0) -> T:
        failures = self._failures
        async with self._turns:
            if failures != self._failures:
                raise _failed_before(self._address)
            try:
                if not self._address.cluster:
                    return await do(self._client(patience))
                # A cluster is looked for by one task after another: this ends their waiting.
                async with asyncio.timeout(self._address.longest + patience):
                    return await do(self._client(patience))
            except ResponseError:
                raise
            except Exception:
                self._failures += 1
                raise

    async def wait(self, command: Command, seconds: float) -> Any:
        """Send a command that lets the server wait so long before it answers."""
        async with self._waits:
            return await self._client(seconds).execute_command(*command)

    def _connections(self) -> LoopConnections:
        if self._held is None:
            lanes = min(LANES, self._address.connections)
            self._held = LoopConnections(self._client(0.0).connection_pool, lanes)
        return self._held

    def _client(self, patience: float) -> Any:
        client = self._clients.get(patience)
        if client is None:
            client = self._clients[patience] = clients.of_loop(self._address, patience=patience)
        return client

    async def close(self) -> None:
        """Close all connections."""
        made, self._clients, self._held = self._clients, {}, None
        for client in made.values():
            await clients.aclose(client)


def _queue(turns: int) -> SimpleQueue[None]:
    # A queue of turns is ten times as fast as a semaphore, which is written in Python.
    queue: SimpleQueue[None] = SimpleQueue()
    for _ in range(turns):
        queue.put(None)
    return queue


def _in_use(address: Address) -> StoreError:
    return StoreError(f"{address.shown}: all connections are in use")


def _failed_before(address: Address) -> StoreError:
    return StoreError(f"{address.shown}: {FAILED_BEFORE}")
