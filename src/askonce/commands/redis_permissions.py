"""The check of what a Redis lets us do: every command that the store needs is tried."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from redis.exceptions import NoPermissionError, RedisError

from askonce.commands.checks import Check
from askonce.redis import permissions
from askonce.redis.address import Address
from askonce.redis.names import Names
from askonce.redis.scripts import Script

_SCRIPT = Script("return 1")

_NOT_NEEDED = frozenset({"client|setinfo"})
"""Clients send it, and do without; Redis before 7.2 does not know it."""


@dataclass
class Trial:
    """Tries commands on keys of its own, which are gone after some seconds."""

    client: Any
    text: bytes
    """A key for texts. Its hash tag is that of bucket 0, as the store has it."""
    table: bytes
    stream: bytes
    channel: bytes
    refused: list[str] = field(default_factory=list)
    """What of an ACL rule is missing."""
    failed: list[str] = field(default_factory=list)
    """What went wrong for another reason."""

    def run(self, name: str, work: Callable[[], object]) -> None:
        """Try one command."""
        try:
            work()
        except RedisError as error:
            if name in _NOT_NEEDED:
                return
            if isinstance(error, NoPermissionError):
                self._missing(name, str(error))
            else:
                self.failed.append(f"{name}: {error}")

    def _missing(self, name: str, said: str) -> None:
        # Redis says what is not allowed: a command, a key or a channel.
        if "key" in said and "command" not in said.partition("key")[0]:
            self._add("~")
        elif "channel" in said:
            self._add("&")
        else:
            self._add(f"+{name}")

    def _add(self, part: str) -> None:
        if part not in self.refused:
            self.refused.append(part)


def check(client: Any, found: Address) -> Check:
    """Try each command that the store needs, in its namespace, and name what is not allowed."""
    names = Names(found)
    own = names.tags(0).removesuffix(b"tags") + b"doctor:" + os.urandom(8).hex().encode()
    if found.cluster:
        client = client.get_redis_connection(client.get_node_from_key(own))
    trial = Trial(client, own + b":t", own + b":h", own + b":s", names.news)
    for name, work in _trials(trial, found):
        trial.run(name, work)
    trial.run("del", partial(client.delete, trial.text, trial.table, trial.stream))
    if trial.refused:
        missing = [_spelled(part, found, names) for part in trial.refused]
        user = found.username or "default"
        return Check(
            "permissions",
            "broken",
            f"user {user} may not do all that is needed: {', '.join(missing)}",
            f"ACL SETUSER {user} {' '.join(missing)}",
        )
    if trial.failed:
        return Check("permissions", "warn", "; ".join(trial.failed), "see the check of the memory")
    count = len(permissions.needed(found))
    return Check("permissions", "ok", f"all {count} commands are allowed on {found.namespace}:*")


def _spelled(part: str, found: Address, names: Names) -> str:
    patterns = {"~": f"~{found.namespace}:*", "&": f"&{names.news.decode()}"}
    return patterns.get(part, part)


def _trials(trial: Trial, found: Address) -> Iterator[tuple[str, Callable[[], object]]]:
    """Go through the commands by the names they have in a rule, and how each is tried."""
    client, text, table, stream = trial.client, trial.text, trial.table, trial.stream
    tries: dict[str, Callable[[], object] | tuple[object, ...]] = {
        "ping": ("PING",),
        "client|setname": ("CLIENT", "SETNAME", "askonce"),
        "client|setinfo": ("CLIENT", "SETINFO", "LIB-NAME", "redis-py"),
        "eval": ("EVAL", _SCRIPT.text, 1, text),
        "evalsha": ("EVALSHA", _SCRIPT.digest, 1, text),
        "set": ("SET", text, b"", "PX", 10_000),
        "get": ("GET", text),
        "del": ("DEL", text),
        "exists": ("EXISTS", text),
        "pexpire": ("PEXPIRE", text, 10_000),
        "hset": ("HSET", table, b"f", b"v"),
        "hget": ("HGET", table, b"f"),
        "hmget": ("HMGET", table, b"f"),
        "hlen": ("HLEN", table),
        "hdel": ("HDEL", table, b"f"),
        "xadd": ("XADD", stream, b"0-1", b"f", b"v"),
        "xrange": ("XRANGE", stream, "-", "+"),
        "xread": ("XREAD", "COUNT", 1, "STREAMS", stream, b"0"),
        "publish": ("PUBLISH", trial.channel, b"?"),
        "subscribe": lambda: _subscribe(client, trial.channel),
        "info": client.info,
        "wait": ("WAIT", 0, 1),
        "scan": lambda: next(iter(client.scan_iter(match=text, count=10)), None),
        "select": ("SELECT", found.database),
        "cluster|slots": ("CLUSTER SLOTS",),
        "command": ("COMMAND",),
        "asking": ("ASKING",),
    }
    for name in permissions.needed(found):
        how = tries[name]
        yield name, how if callable(how) else partial(client.execute_command, *how)


def _subscribe(client: Any, channel: bytes) -> None:
    with client.pubsub() as pubsub:
        pubsub.subscribe(channel)
        pubsub.get_message(timeout=1.0)
