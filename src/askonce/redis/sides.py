"""The two kinds of connections: one side for threads, one for the tasks of each loop.

A client of redis-py raises when all of its connections are in use; a side lets callers wait for
their turn instead.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from redis.exceptions import NoScriptError

from askonce.errors import StoreError
from askonce.redis import clients
from askonce.redis.address import Address

Command: TypeAlias = tuple[Any, ...]


class ThreadSide:
    """Sends commands from any thread."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._lock = threading.Lock()
        # A queue of turns is ten times as fast as a semaphore, which is written in Python.
        self._turns: SimpleQueue[None] = SimpleQueue()
        for _ in range(address.connections):
            self._turns.put(None)
        self._clients: dict[float, Any] = {}

    def client(self, patience: float = 0.0) -> Any:
        """Return a client that waits so many seconds longer for its answers."""
        client = self._clients.get(patience)
        if client is None:
            with self._lock:
                client = self._clients.get(patience)
                if client is None:
                    client = clients.blocking(self._address, patience=patience)
                    self._clients[patience] = client
        return client

    def call(self, command: Command) -> Any:
        """Send one command."""
        client = self.client()
        self._take_turn()
        try:
            return client.execute_command(*command)
        finally:
            self._turns.put(None)

    def send(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one round trip. Errors of single commands are among the answers."""
        client = self.client()
        self._take_turn()
        try:
            if len(commands) == 1:
                return [client.execute_command(*commands[0])]
            with client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                answers: list[Any] = pipeline.execute(raise_on_error=False)
        except NoScriptError as error:
            return [error]
        else:
            return answers
        finally:
            self._turns.put(None)

    def _take_turn(self) -> None:
        try:
            self._turns.get(timeout=self._address.timeout)
        except Empty as error:
            raise StoreError(f"{self._address.shown}: all connections are in use") from error

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            made, self._clients = self._clients, {}
        for client in made.values():
            clients.close(client)


class LoopSide:
    """Sends commands from the tasks of one loop."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._turns = asyncio.Semaphore(address.connections)
        self._clients: dict[float, Any] = {}

    def client(self, patience: float = 0.0) -> Any:
        """Return a client that waits so many seconds longer for its answers."""
        client = self._clients.get(patience)
        if client is None:
            client = self._clients[patience] = clients.of_loop(self._address, patience=patience)
        return client

    async def call(self, command: Command) -> Any:
        """Send one command."""
        client = self.client()
        async with self._turns:
            return await client.execute_command(*command)

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one round trip. Errors of single commands are among the answers."""
        client = self.client()
        async with self._turns:
            try:
                if len(commands) == 1:
                    return [await client.execute_command(*commands[0])]
                pipeline = client.pipeline(transaction=False)
                for command in commands:
                    pipeline.execute_command(*command)
                answers: list[Any] = await pipeline.execute(raise_on_error=False)
            except NoScriptError as error:
                return [error]
            return answers

    async def close(self) -> None:
        """Close all connections."""
        made, self._clients = self._clients, {}
        for client in made.values():
            await clients.aclose(client)
