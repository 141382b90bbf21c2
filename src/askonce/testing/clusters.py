"""A real cluster of Redis or Valkey servers, for tests: its primaries can be killed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise, permutations
from types import TracebackType
from typing import NamedTuple, Self

from askonce.testing.binaries import Binary
from askonce.testing.ports import HOST
from askonce.testing.processes import wait_until
from askonce.testing.replication import in_sync
from askonce.testing.resp import Refused
from askonce.testing.servers import Server, credentials

SLOTS = 16384


class _Range(NamedTuple):
    """Slots from first to last, the port that serves them, and those that replicate it."""

    first: int
    last: int
    primary: int
    replicas: frozenset[int]


class Cluster:
    """Primaries that share all slots, each with its replicas, on 127.0.0.1 while the block lasts.

        with Cluster(binary) as cluster:
            client = redis.RedisCluster(host=HOST, port=cluster.nodes[0].port)

    A primary is taken for dead after `node_timeout` seconds; a replica is elected up to a second
    later. `password` and `config` are as for `Server`, the same on every node.
    """

    def __init__(
        self,
        binary: Binary,
        *,
        primaries: int = 3,
        replicas: int = 1,
        node_timeout: float = 1.0,
        password: str = "",
        config: Sequence[str] = (),
    ) -> None:
        lines = (
            "cluster-enabled yes",
            f"cluster-node-timeout {round(node_timeout * 1000)}",
            # However long a replica was cut off, it stands for election.
            "cluster-replica-validity-factor 0",
            # By default a replica has no data for 5 s, and one without data is never elected.
            "repl-diskless-sync-delay 0",
            # A replica is listed when something was replicated, be it a ping (every 10 s).
            "repl-ping-replica-period 1",
            *config,
        )
        self._shards = primaries
        self._stack = ExitStack()
        self.nodes = [
            Server(binary, password=password, config=lines)
            for _ in range(primaries * (1 + replicas))
        ]

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                self._stack.enter_context(node)
            self._meet()
            self._share_slots()
            self._replicate()
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
        """Kill every node and remove its folder."""
        self._stack.close()

    @property
    def url(self) -> str:
        """Where clients connect, by all nodes: `redis+cluster://127.0.0.1:1,127.0.0.1:2`."""
        addresses = ",".join(node.address for node in self.nodes)
        return f"redis+cluster://{credentials(self.nodes[0].password)}{addresses}"

    @property
    def running(self) -> list[Server]:
        """The nodes that are neither dead nor paused."""
        return [node for node in self.nodes if node.is_answering]

    def primaries(self) -> list[Server]:
        """The nodes that serve slots, in the order of their slots, as one running node sees it."""
        return [self._node(part.primary) for part in sorted(_ranges(self.running[0]))]

    def replicas(self) -> list[Server]:
        """The nodes that replicate a primary, as one running node sees it."""
        return [self._node(port) for part in _ranges(self.running[0]) for port in part.replicas]

    def primary_of(self, key: str | int) -> Server:
        """Find the node that serves a key, or a slot."""
        asked = self.running[0]
        slot = key if isinstance(key, int) else asked.command("CLUSTER", "KEYSLOT", key)
        assert isinstance(slot, int)
        parts = _ranges(asked)
        return next(self._node(part.primary) for part in parts if part.first <= slot <= part.last)

    def kill_primary_of(self, key: str | int) -> Server:
        """Kill the node that serves a key, or a slot, with -9, and return it."""
        node = self.primary_of(key)
        node.kill()
        return node

    def wait_until_ok(self, timeout: float = 30.0) -> None:
        """Wait until all running nodes agree that all slots are served by running nodes.

        Also until every running node that serves none is a replica in sync. TimeoutError after so
        many seconds.
        """
        wait_until(self._is_ok, "the cluster is ok", self._evidence, timeout)

    def _meet(self) -> None:
        """Let everybody know everybody, with epochs of their own, as redis-cli does it."""
        for epoch, node in enumerate(self.nodes, start=1):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
        for node, other in permutations(self.nodes, 2):
            node.command("CLUSTER", "MEET", HOST, other.port)
        wait_until(self._has_met, "the nodes know each other", self._evidence)

    def _has_met(self) -> bool:
        # A node in handshake counts as known, under an id that is not yet its own.
        return all(_known(node) == {it.port for it in self.nodes} for node in self.nodes)

    def _share_slots(self) -> None:
        bounds = [SLOTS * shard // self._shards for shard in range(self._shards + 1)]
        for node, (first, end) in zip(self.nodes, pairwise(bounds), strict=False):
            node.command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)

    def _replicate(self) -> None:
        for place, node in enumerate(self.nodes[self._shards :]):
            name = self.nodes[place % self._shards].command("CLUSTER", "MYID")
            assert isinstance(name, bytes)
            node.command("CLUSTER", "REPLICATE", name.decode())

    def _is_ok(self) -> bool:
        try:
            return bool(self.running) and self._agree()
        except (OSError, Refused):
            return False  # one died as it was asked, or is loading

    def _agree(self) -> bool:
        running = self.running
        ports = {node.port for node in running}
        if not all(_sees_all(node, ports) for node in running):
            return False
        parts = _ranges(running[0])
        return all(
            in_sync(self._node(part.primary), map(self._node, part.replicas)) for part in parts
        )

    def _node(self, port: int) -> Server:
        return next(node for node in self.nodes if node.port == port)

    def _evidence(self) -> str:
        return "\n".join(f"{node.port}: {_nodes(node)}" for node in self.running)


def _ranges(node: Server) -> Iterator[_Range]:
    """Who serves which slots, as one node sees it."""
    reply = node.command("CLUSTER", "SLOTS")
    assert isinstance(reply, list)
    for part in reply:
        match part:
            case [int(first), int(last), [_, int(primary), *_], *others]:
                ports = (it[1] for it in others if isinstance(it, list))
                replicas = frozenset(port for port in ports if isinstance(port, int))
                yield _Range(first, last, primary, replicas)


def _sees_all(node: Server, running: set[int]) -> bool:
    """Whether a node sees all slots served, by these ports or replicas at them, and no other."""
    parts = list(_ranges(node))
    seen = {port for part in parts for port in (part.primary, *part.replicas)}
    served = sum(part.last - part.first + 1 for part in parts)
    state = node.facts("CLUSTER", "INFO")["cluster_state"]
    return (state, served, seen) == ("ok", SLOTS, running)


def _nodes(node: Server) -> str:
    reply = node.command("CLUSTER", "NODES")
    assert isinstance(reply, bytes)
    return reply.decode()


def _known(node: Server) -> set[int]:
    """The ports of the nodes that one has really met, its own among them."""
    fields = [line.split(" ") for line in _nodes(node).splitlines()]
    return {
        int(address.partition("@")[0].rpartition(":")[2])
        for _, address, flags, *_ in fields
        if "handshake" not in flags
    }
