"""The way to a Redis, from threads and tasks alike.

What fails here is a StoreError, and quickly: nothing waits longer than the address says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from redis.exceptions import NoScriptError, RedisError

from askonce import blocking
from askonce.errors import StoreError
from askonce.redis.address import Address
from askonce.redis.scripts import Script
from askonce.redis.sides import Command, LoopSide, ThreadSide

T = TypeVar("T")


class Link:
    """Sends commands from a thread or a task. Nothing is opened before the first of them."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._threads = ThreadSide(address)
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopSide] = WeakKeyDictionary()
        self._closed = False
        self._inherited: list[object] = []

    async def run(self, script: Script, names: Sequence[bytes], *arguments: Any) -> Any:
        """Run one script, in one round trip."""
        command = called(script, names, *arguments)
        try:
            if blocking.is_running():
                return self._side().call(command)
            return await self._loop_side().call(command)
        except NoScriptError:
            return (await self.together([command], [script]))[0]
        except (RedisError, OSError) as error:
            raise self.failed(error) from error

    async def together(self, commands: list[Command], scripts: Sequence[Script] = ()) -> list[Any]:
        """Send commands in one round trip. A server that lost one of `scripts` is told it again."""
        try:
            answers = await self._send(commands)
            lost = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if lost:
                texts = {script.digest: script.text for script in scripts}
                whole = [("EVAL", texts[commands[at][1]], *commands[at][2:]) for at in lost]
                for at, answer in zip(lost, await self._send(whole), strict=True):
                    answers[at] = answer
        except (RedisError, OSError) as error:
            raise self.failed(error) from error
        for answer in answers:
            if isinstance(answer, Exception):
                raise self.failed(answer) from answer
        return answers

    async def wait(self, command: Command, seconds: float) -> Any:
        """Send a command that lets the server wait so long before it answers."""
        try:
            if blocking.is_running():
                return self._side().client(seconds).execute_command(*command)
            return await self._loop_side().client(seconds).execute_command(*command)
        except (RedisError, OSError) as error:
            raise self.failed(error) from error

    async def in_thread(self, work: Callable[[Any], T]) -> T:
        """Do some work with the client for threads; away from the loop if there is one."""
        return await self.off_loop(lambda: self._guarded(work))

    async def off_loop(self, work: Callable[[], T]) -> T:
        """Do some work that may hold its thread for a while."""
        return work() if blocking.is_running() else await asyncio.to_thread(work)

    def failed(self, error: Exception) -> StoreError:
        """Say what failed, and where."""
        return StoreError(f"{self.address.shown}: {str(error) or type(error).__name__}")

    def check_open(self) -> None:
        """Raise StoreError if this link is closed."""
        if self._closed:
            raise StoreError("this store is closed: open a new one")

    async def close(self) -> None:
        """Let go of all connections; those of other loops are closed as soon as these can."""
        self._closed = True
        self._threads.close()
        here = None if blocking.is_running() else asyncio.get_running_loop()
        loops, self._loops = dict(self._loops), WeakKeyDictionary()
        for loop, side in loops.items():
            if loop is here:
                await side.close()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(side.close(), loop)

    def _guarded(self, work: Callable[[Any], T]) -> T:
        try:
            return work(self._side().client())
        except (RedisError, OSError) as error:
            raise self.failed(error) from error

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        if blocking.is_running():
            return self._side().send(commands)
        return await self._loop_side().send(commands)

    def _side(self) -> ThreadSide:
        self.check_open()
        return self._threads

    def _loop_side(self) -> LoopSide:
        self.check_open()
        loop = asyncio.get_running_loop()
        side = self._loops.get(loop)
        if side is None:
            side = self._loops[loop] = LoopSide(self.address)
        return side

    def after_fork(self) -> None:
        """Begin anew in a child; the parent's connections stay the parent's."""
        self._inherited.append((self._threads, self._loops))
        self._threads, self._loops = ThreadSide(self.address), WeakKeyDictionary()


def called(script: Script, names: Sequence[bytes], *arguments: Any) -> Command:
    """Return the command that runs a script the server knows."""
    return ("EVALSHA", script.digest, len(names), *names, *arguments)
