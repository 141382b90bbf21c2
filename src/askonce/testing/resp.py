"""Just enough of the Redis protocol to start servers and look at them, without a client library."""

from __future__ import annotations

import socket
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

Reply: TypeAlias = "bytes | int | list[Reply] | None"


class Refused(RuntimeError):
    """The server answered with an error; the message is its own."""


class Connection:
    """A connection to a server's Unix socket. OSError where nobody listens or answers in time."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._stream = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()
        self._socket.close()

    def command(self, *words: str | int) -> Reply:
        """Send one command and read its reply."""
        parts = [str(word).encode() for word in words]
        bulks = b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        self._socket.sendall(b"*%d\r\n%b" % (len(parts), bulks))
        return self._read()

    def _read(self) -> Reply:
        line = self._stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        mark, said = line[:1], line[1:-2]
        if mark == b"-":
            raise Refused(said.decode(errors="replace"))
        if mark == b"+":
            return said
        count = int(said)
        if mark == b":":
            return count
        if count < 0:
            return None
        if mark == b"*":
            return [self._read() for _ in range(count)]
        return self._stream.read(count + 2)[:-2]
