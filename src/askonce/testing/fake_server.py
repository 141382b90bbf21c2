"""A thread for every connection to a free port of 127.0.0.1, and a way to stop at once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

# Room for every client of a stampede test to connect before the first is accepted.
_BACKLOG = 4096


class Server:
    """Gives each connection to `converse`, on a thread of its own, until closed."""

    def __init__(self, converse: Callable[[socket.socket], None]) -> None:
        self._converse = converse
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._changed = threading.Condition()
        self._connections: set[socket.socket] = set()
        self._closing = False
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def close(self, timeout: float = 2.0) -> None:
        """Stop listening and drop every connection; wait so many seconds for their threads."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            for connection in self._connections:
                drop(connection)
        # Closing a socket does not wake its accept everywhere; a connection does.
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
        self._acceptor.join(timeout)
        self._listener.close()
        with self._changed:
            self._changed.wait_for(lambda: not self._connections, timeout)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                # Out of file descriptors, or the client left before its turn: try the next.
                time.sleep(0.01)
                connection = None
            with self._changed:
                if self._closing:
                    if connection is not None:
                        connection.close()
                    return
                if connection is None:
                    continue
                self._connections.add(connection)
            threading.Thread(target=self._hold, args=(connection,), daemon=True).start()

    def _hold(self, connection: socket.socket) -> None:
        try:
            with connection:
                # Nagle's algorithm would hold small frames back by some 40 ms.
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._converse(connection)
        except (OSError, ValueError):
            pass  # the client left, or does not speak HTTP
        finally:
            with self._changed:
                self._connections.discard(connection)
                self._changed.notify_all()


def drop(connection: socket.socket) -> None:
    """End a connection at once, even where a forked child holds a copy of its socket."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def is_left(connection: socket.socket) -> bool:
    """Whether the client has closed its end."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
