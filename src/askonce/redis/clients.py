"""Clients of redis-py for an address: a server, a cluster, or whoever Sentinel says leads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.retry
import redis.asyncio.sentinel
import redis.backoff
import redis.cluster
import redis.retry
import redis.sentinel
from redis.credentials import CredentialProvider
from redis.exceptions import AuthenticationError, RedisClusterException

from askonce.redis.address import Address

# One more try at once, as a pooled connection may be of a server that was restarted. More would
# make a caller wait for a server that is down. Sentinels are several: the next one is asked at
# once, where redis-py would try a dead one ten times, for four seconds.
_TRIES = 1


UNREADABLE = "the password file cannot be read"


class _Credentials(CredentialProvider):
    """Reads the password anew for each connection."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        try:
            user, password = self._address.credentials()
        except (OSError, UnicodeError) as error:
            # Of other errors redis-py leaves a connection open that has not greeted.
            raise AuthenticationError(f"{UNREADABLE}: {error}") from error
        return (user, password or "") if user else (password or "",)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self.get_credentials()


class Crowd:
    """Threads that want the same done: it is done once, and all take how it ended as theirs.

    A cluster that is gone costs a timeout for each of its nodes. Nobody waits for all of them: what
    takes longer than `patience` goes on, for those who come later.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._under_way: Future[object] | None = None

    def attempt(self, work: Callable[[], object]) -> None:
        """Have the work done. RedisClusterException if it takes too long."""
        with self._lock:
            found = self._under_way
            if found is None:
                found = self._under_way = Future()
                arguments = work, found
                threading.Thread(
                    target=self._do, args=arguments, name="askonce nodes", daemon=True
                ).start()
        if not wait([found], self._patience).done:
            raise RedisClusterException("none of the nodes that were asked has answered in time")
        found.result()

    def _do(self, work: Callable[[], object], found: Future[object]) -> None:
        error = None
        try:
            work()
        except Exception as raised:  # noqa: BLE001 (whoever waits raises it)
            error = raised
        with self._lock:
            self._under_way = None
        if error is None:
            found.set_result(None)
        else:
            found.set_exception(error)


def _look_together(nodes: Any, patience: float) -> None:
    """Let threads that look for the nodes of a cluster look together."""
    crowd, look = Crowd(patience), nodes.initialize
    nodes.initialize = lambda *given, **named: crowd.attempt(lambda: look(*given, **named))


def blocking(address: Address, *, patience: float = 0.0) -> Any:
    """Make a client for threads. `patience` adds seconds to each wait for an answer."""
    options = _options(address, patience)
    options["retry"] = redis.retry.Retry(redis.backoff.NoBackoff(), _TRIES)
    if address.cluster:
        nodes = [redis.cluster.ClusterNode(*host) for host in address.hosts]
        client = redis.cluster.RedisCluster(
            startup_nodes=nodes, require_full_coverage=False, **options
        )
        _look_together(client.nodes_manager, address.once + patience)
        return client
    if address.service:
        named = _sentinel_options(address)
        named["retry"] = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
        found = redis.sentinel.Sentinel(address.hosts, sentinel_kwargs=named, **options)
        return found.master_for(address.service)
    kind: Any = redis.UnixDomainSocketConnection if address.path else redis.Connection
    if address.tls is not None:
        kind = redis.SSLConnection
    pool = redis.ConnectionPool(connection_class=kind, **_place(address), **options)
    return redis.Redis.from_pool(pool)


def of_loop(address: Address, *, patience: float = 0.0) -> Any:
    """Make a client for the tasks of one loop."""
    options = _options(address, patience)
    options["retry"] = redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), _TRIES)
    if address.cluster:
        nodes = [redis.asyncio.cluster.ClusterNode(*host) for host in address.hosts]
        if address.tls is not None:
            options["ssl"] = True
        return redis.asyncio.cluster.RedisCluster(
            startup_nodes=nodes, require_full_coverage=False, **options
        )
    if address.service:
        named = _sentinel_options(address)
        named["retry"] = redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), 0)
        found = redis.asyncio.sentinel.Sentinel(address.hosts, sentinel_kwargs=named, **options)
        return found.master_for(address.service)
    kind: Any = redis.asyncio.Connection
    if address.path:
        kind = redis.asyncio.UnixDomainSocketConnection
    if address.tls is not None:
        kind = redis.asyncio.SSLConnection
    pool = redis.asyncio.ConnectionPool(connection_class=kind, **_place(address), **options)
    return redis.asyncio.Redis.from_pool(pool)


def _place(address: Address) -> dict[str, Any]:
    if address.path:
        return {"path": address.path}
    host, port = address.hosts[0]
    return {"host": host, "port": port}


def _options(address: Address, patience: float) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_timeout": address.timeout + patience,
        "socket_connect_timeout": address.connect_timeout,
        "client_name": "askonce",
        # One for each turn to ask, one for each turn to wait.
        "max_connections": 2 * address.connections,
    }
    if not address.cluster:
        options["db"] = address.database
    if address.username or address.password or address.password_file:
        options["credential_provider"] = _Credentials(address)
    if address.tls is not None:
        options |= dict(address.tls)
        if address.cluster or address.service:
            options["ssl"] = True
    return options


def _sentinel_options(address: Address) -> dict[str, Any]:
    said = {"username": address.sentinel_username, "password": address.sentinel_password}
    return {
        "socket_timeout": address.timeout,
        "socket_connect_timeout": address.connect_timeout,
        **({"ssl": True, **dict(address.tls or ())} if address.sentinel_tls else {}),
        **{name: value for name, value in said.items() if value},
    }


def close(client: Any) -> None:
    """Close a client for threads, and those of its sentinels."""
    client.close()
    for sentinel in _sentinels(client):
        sentinel.close()


async def aclose(client: Any) -> None:
    """Close a client of this loop, and those of its sentinels."""
    await client.aclose()
    for sentinel in _sentinels(client):
        await sentinel.aclose()


def _sentinels(client: Any) -> list[Any]:
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    return [] if manager is None else list(manager.sentinels)
