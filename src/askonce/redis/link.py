"""The way to a Redis, from threads and tasks alike.

What fails here is a StoreError, and quickly: nothing waits longer than the address says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    ResponseError,
    TryAgainError,
)

from askonce import blocking
from askonce.errors import StoreError
from askonce.redis.address import Address
from askonce.redis.held import Command
from askonce.redis.scripts import Script
from askonce.redis.sides import LoopSide, ThreadSide
from askonce.stores.breaker import Refused

T = TypeVar("T")

_LOST = (AskError, ClusterDownError, MovedError, TryAgainError)
"""What a cluster answers while it does not know who serves a slot."""

# Every exception of a client counts as the server's failure: besides its RedisError, redis-py lets
# RedisClusterException through, KeyError and AttributeError while a cluster changes, and the
# RuntimeError of a closed loop.


class Link:
    """Sends commands from a thread or a task. Nothing is opened before the first of them."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._threads = ThreadSide(address)
        self._loops: dict[asyncio.AbstractEventLoop, LoopSide] = {}
        self._closed = False
        self._inherited: list[object] = []

    async def run(self, script: Script, names: Sequence[bytes], *arguments: Any) -> Any:
        """Run one script, in one round trip."""
        return (await self.together([called(script, names, *arguments)], [script]))[0]

    async def together(
        self, commands: list[Command], scripts: Sequence[Script] = (), *, patience: float = 0.0
    ) -> list[Any]:
        """Send commands in one round trip. A server that lost one of `scripts` is told it again.

        `patience` adds seconds to the wait for the answers.
        """
        try:
            if blocking.is_running():
                answers = self._side().send(commands, patience)
            else:
                answers = await self._loop_side().send(commands, patience)
        except Exception as error:
            raise self.failed(error) from error
        for answer in answers:
            if isinstance(answer, NoScriptError) and scripts:
                return await self._tell(scripts, commands, answers)
            if isinstance(answer, Exception):
                raise self.failed(answer) from answer
        return answers

    async def _tell(
        self, scripts: Sequence[Script], commands: list[Command], answers: list[Any]
    ) -> list[Any]:
        """Tell a server the scripts that it lost, and put their answers in place."""
        lost = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        texts = {script.digest: script.text for script in scripts}
        whole = [("EVAL", texts[commands[at][1]], *commands[at][2:]) for at in lost]
        for at, answer in zip(lost, await self.together(whole), strict=True):
            answers[at] = answer
        for answer in answers:
            if isinstance(answer, Exception):
                raise self.failed(answer) from answer
        return answers

    async def wait(self, command: Command, seconds: float) -> Any:
        """Send a command that lets the server wait so long before it answers."""
        try:
            if blocking.is_running():
                return self._side().wait(command, seconds)
            return await self._loop_side().wait(command, seconds)
        except Exception as error:
            raise self.failed(error) from error

    async def in_thread(self, work: Callable[[Any], T], *, patience: float = 0.0) -> T:
        """Do some work with the client for threads; away from the loop if there is one."""

        def guarded() -> T:
            try:
                return self._side().work(work, patience)
            except Exception as error:
                raise self.failed(error) from error

        return await self.off_loop(guarded)

    async def off_loop(self, work: Callable[[], T]) -> T:
        """Do some work that may hold its thread for a while."""
        return work() if blocking.is_running() else await asyncio.to_thread(work)

    def failed(self, error: Exception) -> StoreError:
        """Say what failed, and where."""
        if isinstance(error, StoreError):
            return error
        answered = isinstance(error, ResponseError) and not isinstance(error, _LOST)
        kind = Refused if answered else StoreError
        return kind(f"{self.address.shown}: {str(error) or type(error).__name__}")

    def check_open(self) -> None:
        """Raise StoreError if this link is closed."""
        if self._closed:
            raise StoreError("this store is closed: open a new one")

    async def close(self) -> None:
        """Let go of all connections; those of other loops are closed as soon as these can."""
        self._closed = True
        self._threads.close()
        here = None if blocking.is_running() else asyncio.get_running_loop()
        loops, self._loops = self._loops, {}
        for loop, side in loops.items():
            if loop is here:
                await side.close()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(side.close(), loop)

    def _side(self) -> ThreadSide:
        self.check_open()
        return self._threads

    def _loop_side(self) -> LoopSide:
        self.check_open()
        loop = asyncio.get_running_loop()
        side = self._loops.get(loop)
        if side is None:
            self._let_go_of_ended_loops()
            side = self._loops[loop] = LoopSide(self.address)
        return side

    def _let_go_of_ended_loops(self) -> None:
        # Their connections know them, so a weak reference would never end. What nobody closed in
        # its own loop is closed with a ResourceWarning, as Python does it.
        for loop in list(self._loops):
            if loop.is_closed():
                self._loops.pop(loop, None)

    def after_fork(self) -> None:
        """Begin anew in a child; the parent's connections stay the parent's."""
        self._inherited.append((self._threads, self._loops))
        self._threads, self._loops = ThreadSide(self.address), {}


def called(script: Script, names: Sequence[bytes], *arguments: Any) -> Command:
    """Return the command that runs a script the server knows."""
    return ("EVALSHA", script.digest, len(names), *names, *arguments)
