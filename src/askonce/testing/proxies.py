"""A network that can fail, for tests: it loses the connection, slows it down, and comes back."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Self, TypeAlias

from askonce.testing.ports import HOST

_BACKLOG = 4096
_CHUNK = 2**16
_HELD = 64
"""Chunks on their way, each way of a connection, before its sender has to wait."""

_Queue: TypeAlias = "asyncio.Queue[tuple[float, bytes]]"


class CuttingProxy:
    """Passes connections on to a port of 127.0.0.1, as well as it is told to.

        with CuttingProxy(server.port) as proxy:
            client = redis.Redis(port=proxy.port, socket_timeout=0.1)
            proxy.cut()

    What it is told holds for open connections and new ones, from when the method returns.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._delay = 0.0
        self._passing = asyncio.Event()
        self._ended = asyncio.Event()
        self._lines: dict[asyncio.Task[None], list[socket.socket]] = {}
        self._running: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        listener = socket.create_server((HOST, 0), backlog=_BACKLOG)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        ready = threading.Event()
        run = self._run(listener, ready)
        self._thread = threading.Thread(target=lambda: asyncio.run(run), daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Reset every connection and stop listening."""
        if self._thread is not None and self._thread.is_alive():
            self._tell(_calling(self._ended.set))
            self._thread.join()

    def cut(self) -> None:
        """Let nothing pass, either way: no byte, no end of a connection, and no error.

        New connections are accepted, since the system does it, and hear nothing.
        """
        self._tell(_calling(self._passing.clear))

    def heal(self) -> None:
        """Let everything pass again, also what was on its way, as TCP sends lost data again."""
        self._tell(_calling(self._passing.set))

    def delay(self, seconds: float) -> None:
        """Let what comes from now on take so much longer, each way; 0 for no longer."""

        def change() -> None:
            self._delay = seconds

        self._tell(_calling(change))

    def drop(self) -> None:
        """Reset every open connection; new ones can be made."""
        self._tell(self._reset())

    def _tell(self, work: Coroutine[object, object, None]) -> None:
        """Do something on the loop's thread, and wait until it is done."""
        if self._running is None:
            raise RuntimeError("not started: use `with CuttingProxy(port) as proxy:`")
        asyncio.run_coroutine_threadsafe(work, self._running).result()

    async def _run(self, listener: socket.socket, ready: threading.Event) -> None:
        self._running = asyncio.get_running_loop()
        self._passing.set()
        self._running.add_reader(listener, self._accept, listener)
        ready.set()
        await self._ended.wait()
        self._running.remove_reader(listener)
        listener.close()
        await self._reset()

    async def _reset(self) -> None:
        tasks = list(self._lines)
        for task in tasks:
            for line in self._lines[task]:
                # Without lingering, closing sends a reset.
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        try:
            here, _ = listener.accept()
        except OSError:
            return  # the client left before its turn
        lines = [here, socket.socket()]
        for line in lines:
            line.setblocking(False)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.create_task(self._serve(*lines))
        self._lines[task] = lines
        task.add_done_callback(self._leave)

    def _leave(self, task: asyncio.Task[None]) -> None:
        for line in self._lines.pop(task):
            line.close()

    async def _serve(self, here: socket.socket, there: socket.socket) -> None:
        await self._passing.wait()
        try:
            await asyncio.get_running_loop().sock_connect(there, (HOST, self._target))
            async with asyncio.TaskGroup() as group:
                for source, sink in ((here, there), (there, here)):
                    queue: _Queue = asyncio.Queue(_HELD)
                    group.create_task(self._receive(source, queue))
                    group.create_task(self._send(queue, sink))
        except* OSError:
            pass  # one end is gone; the other is told by closing

    async def _receive(self, source: socket.socket, queue: _Queue) -> None:
        loop, data = asyncio.get_running_loop(), b"more"
        while data:
            data = await loop.sock_recv(source, _CHUNK)
            await queue.put((loop.time() + self._delay, data))

    async def _send(self, queue: _Queue, sink: socket.socket) -> None:
        loop, data = asyncio.get_running_loop(), b"more"
        while data:
            due, data = await queue.get()
            await asyncio.sleep(due - loop.time())
            await self._passing.wait()
            await loop.sock_sendall(sink, data)
        sink.shutdown(socket.SHUT_WR)


async def _calling(change: Callable[[], object]) -> None:
    change()
