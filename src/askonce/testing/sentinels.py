"""A real primary with replicas, watched by Sentinel, for tests: the primary can be killed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from askonce.testing.binaries import Binary
from askonce.testing.ports import HOST
from askonce.testing.processes import wait_until
from askonce.testing.replication import in_sync
from askonce.testing.resp import Refused
from askonce.testing.servers import Server, credentials, quoted

_HASTE = {
    "PUBLISH-PERIOD": 200,
    "INFO-PERIOD": 200,
    "ASK-PERIOD": 100,
    # After 2 s without the processor a sentinel rests for so long, 30 s by default.
    "TILT-PERIOD": 500,
}
"""Milliseconds between a sentinel's doings, for tests that cannot wait.

PING-PERIOD stays: a replica counts as good while it was heard of within five of them.
"""


class Sentinels:
    """A primary, its replicas and three sentinels on 127.0.0.1 while the block lasts.

        with Sentinels(binary) as watched:
            sentinel = redis.Sentinel([(HOST, it.port) for it in watched.sentinels])
            client = sentinel.master_for(watched.service)

    The primary is taken for dead after `down_after` seconds. `password` is that of the servers;
    the sentinels have none. `config` holds lines of redis.conf for the servers.
    """

    def __init__(
        self,
        binary: Binary,
        *,
        replicas: int = 1,
        down_after: float = 0.5,
        service: str = "answers",
        password: str = "",
        config: Sequence[str] = (),
    ) -> None:
        self.service = service
        self.servers: list[Server] = []
        self.sentinels: list[Server] = []
        self._binary = binary
        self._replicas = replicas
        self._down_after = round(down_after * 1000)
        self._password = password
        # By default a replica has no data for 5 s, and one without data is never elected.
        self._config = ("repl-diskless-sync-delay 0", *config)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start_servers()
            self._start_sentinels()
            self.wait_until_ok()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill every process and remove its folder."""
        self._stack.close()

    @property
    def url(self) -> str:
        """Where clients ask: `redis+sentinel://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3/answers`."""
        addresses = ",".join(sentinel.address for sentinel in self.sentinels)
        return f"redis+sentinel://{credentials(self._password)}{addresses}/{self.service}"

    def primary(self) -> Server:
        """The server that the first running sentinel names."""
        asked = next(sentinel for sentinel in self.sentinels if sentinel.is_answering)
        return next(server for server in self.servers if server.port == self._named_by(asked))

    def kill_primary(self) -> Server:
        """Kill the primary with -9, and return it."""
        server = self.primary()
        server.kill()
        return server

    def wait_until_ok(self, timeout: float = 30.0) -> None:
        """Wait until the running sentinels agree on a running primary.

        Also until all other running servers are its replicas, in sync, and the sentinels know
        them as such. TimeoutError after so many seconds.
        """
        wait_until(self._is_ok, "the sentinels agree", self._evidence, timeout)

    def _start_servers(self) -> None:
        first = Server(self._binary, password=self._password, config=self._config)
        self.servers.append(self._stack.enter_context(first))
        lines = (*self._config, f"replicaof {HOST} {first.port}")
        for _ in range(self._replicas):
            server = Server(self._binary, password=self._password, config=lines)
            self.servers.append(self._stack.enter_context(server))
        # Sentinel asks a primary for its replicas at once, and again only after a while.
        wait_until(lambda: self._in_sync(first), "the replicas are in sync")

    def _start_sentinels(self) -> None:
        lines = [
            f"sentinel monitor {self.service} {HOST} {self.servers[0].port} 2",
            f"sentinel down-after-milliseconds {self.service} {self._down_after}",
            f"sentinel failover-timeout {self.service} 2000",
        ]
        if self._password:
            lines.append(f"sentinel auth-pass {self.service} {quoted(self._password)}")
        for _ in range(3):
            sentinel = Server(self._binary, config=lines, arguments=["--sentinel"])
            self.sentinels.append(self._stack.enter_context(sentinel))
            haste = (word for period in _HASTE.items() for word in period)
            sentinel.command("SENTINEL", "DEBUG", *haste)

    def _is_ok(self) -> bool:
        try:
            return self._agree()
        except (OSError, Refused):
            return False  # one died as it was asked, or is loading

    def _agree(self) -> bool:
        asked = [sentinel for sentinel in self.sentinels if sentinel.is_answering]
        named = {self._named_by(sentinel) for sentinel in asked}
        primary = next((it for it in self.servers if {it.port} == named), None)
        if primary is None or not primary.is_answering or not self._in_sync(primary):
            return False
        return all(self._knows_all(sentinel) for sentinel in asked)

    def _in_sync(self, primary: Server) -> bool:
        others = (it for it in self.servers if it is not primary and it.is_answering)
        return in_sync(primary, others)

    def _knows_all(self, sentinel: Server) -> bool:
        facts = _pairs(sentinel.command("SENTINEL", "MASTER", self.service))
        replicas = sentinel.command("SENTINEL", "REPLICAS", self.service)
        assert isinstance(replicas, list)
        known = {it["port"] for it in map(_pairs, replicas) if it["flags"] == "slave"}
        running = {str(it.port) for it in self.servers if it.is_answering}
        return (
            facts["flags"] == "master"
            and facts["num-other-sentinels"] == str(len(self.sentinels) - 1)
            and known | {facts["port"]} == running
        )

    def _named_by(self, sentinel: Server) -> int:
        reply = sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
        match reply:
            case [bytes(), bytes(port)]:
                return int(port)
        raise RuntimeError(f"the sentinel knows no {self.service}: {reply!r}")

    def _evidence(self) -> str:
        return "\n".join(
            f"{server.port}: {server.log[-1000:]}" for server in (*self.servers, *self.sentinels)
        )


def _pairs(reply: object) -> dict[str, str]:
    """A flat reply of names and values, as a dict."""
    assert isinstance(reply, list)
    words = [word.decode() for word in reply]
    return dict(zip(words[::2], words[1::2], strict=True))
