"""What processes tell one another through the server, by publish and subscribe.

A message is one letter and what it is about: `w` somebody waits for a key; `s` its stream can be
followed, under a token; `l` it landed, `f` it failed, `r` its lease is free; `d` entries are
forgotten. Nothing depends on a message that is lost: who waits tries again by itself, and when the
connection breaks, near stores are emptied.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from askonce.keys import LENGTH
from askonce.redis import clients
from askonce.redis.address import Address
from askonce.redis.names import Names

ALIVE = 2.0
"""Seconds between two signs of life that are asked of the server on a silent connection. A break
that nobody announced is noticed after twice that."""

AGAIN = 0.2
"""Seconds between two tries to connect."""

Listener = Callable[[bytes, bytes, bytes], None]
"""Is called with the letter, the key, and what follows it."""


class News:
    """Listens in a thread of its own, from the first subscription on."""

    def __init__(self, address: Address, names: Names) -> None:
        self._address = address
        self._names = names
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._forgotten: list[Callable[[Sequence[bytes] | None], None]] = []
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    def listen(self, listener: Listener) -> None:
        """Call `listener` with every message about a key."""
        self._listeners.append(listener)

    def watch(self, forgotten: Callable[[Sequence[bytes] | None], None]) -> None:
        """Call `forgotten` with the keys that were forgotten; with None when some may be missed."""
        self._forgotten.append(forgotten)

    def begin(self) -> None:
        """Begin to listen, unless that was done already or nobody wants to know."""
        if self._thread is not None or not (self._listeners or self._forgotten):
            return
        with self._lock:
            if self._thread is None and not self._over.is_set():
                self._thread = threading.Thread(
                    target=self._listen, name="askonce news", daemon=True
                )
                self._thread.start()

    def end(self) -> None:
        """Stop listening."""
        self._over.set()

    def after_fork(self) -> None:
        """Begin anew in a child, where no thread is left."""
        self._lock = threading.Lock()
        self._thread = None

    def _listen(self) -> None:
        while not self._over.is_set():
            # Whatever the client raises, as in `Link`: who listens must never stop to.
            with contextlib.suppress(Exception):
                self._listen_once()
            self._over.wait(AGAIN)

    def _listen_once(self) -> None:
        client = clients.blocking(self._address, patience=ALIVE)
        try:
            self._hear_all(client)
        finally:
            clients.close(client)

    def _hear_all(self, client: Any) -> None:
        with client.pubsub() as channel:
            channel.health_check_interval = ALIVE
            channel.subscribe(self._names.news)
            while not self._over.is_set():
                message = channel.get_message(timeout=ALIVE / 2)
                if message is None:
                    channel.check_health()
                elif message["type"] == "subscribe":
                    # What was told before, nobody here has heard.
                    self._tell_forgotten(None)
                elif message["type"] == "message":
                    self._hear(message["data"])

    def _hear(self, text: bytes) -> None:
        letter, rest = text[:1], text[1:]
        try:
            if letter == b"d":
                self._tell_forgotten([rest[at : at + LENGTH] for at in range(0, len(rest), LENGTH)])
            else:
                for listener in self._listeners:
                    listener(letter, rest[:LENGTH], rest[LENGTH:])
        except Exception:
            logging.getLogger("askonce").exception("a message of another process failed")

    def _tell_forgotten(self, keys: Sequence[bytes] | None) -> None:
        for forgotten in self._forgotten:
            forgotten(keys)
