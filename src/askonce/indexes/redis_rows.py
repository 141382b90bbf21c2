"""Wordings as hashes in a Redis, which expire by themselves; what both of its indexes share.

The names of one namespace and embedder carry one hash tag, so that a script may use all of them,
and an index and what it holds are on one node of a cluster. Other namespaces may be on others. Keys
are written in hexadecimal: RediSearch ends a name at its first NUL.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from blake3 import blake3

from askonce.blocking import run
from askonce.errors import StoreError
from askonce.indexes.choosing import Read, is_alive
from askonce.redis import address
from askonce.redis.address import Address
from askonce.redis.held import Command
from askonce.redis.link import Link, called
from askonce.redis.scripts import Script
from askonce.semantic.contract import Wording
from askonce.stores import forks

FIELDS = (b"scope", b"answer", b"text", b"expires", b"barred", b"vector")
"""Of each hash, besides `tag`, a digest of the scope in letters that need no escape."""

AT_ONCE = 100
"""Wordings written by one script: others wait for it."""
DROPPED_AT_ONCE = 1000
READ_AT_ONCE = 200

LISTING = 5.0
"""Seconds more for an answer while all keys are listed."""


class Missing(StoreError):
    """The server does not have what this index is made of."""


class Rows(forks.Locked):
    """The hashes under one prefix, and the way to their server. Nothing is opened before use."""

    def __init__(
        self,
        url: str | Address,
        kind: bytes,
        *,
        embedder: str,
        dimension: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.address = address.read(url) if isinstance(url, str) else url
        self.dimension = dimension
        self.clock = clock
        namespace = self.address.namespace.encode()
        space = blake3(b"%d:%b" % (dimension, embedder.encode())).hexdigest(8).encode()
        self.place = b"%b:{%b:%b}:" % (namespace, namespace, space)
        """What all names begin with."""
        self.prefix = self.place + kind + b":"
        """What the names of hashes begin with; the key of the wording comes behind."""
        self._link = Link(self.address)
        self._listing: list[bytes] = []
        self._listed_to: bytes | None = None

    def ask(self, *commands: Command) -> list[Any]:
        """Send commands in one round trip. StoreError if one of them fails."""
        return run(self._link.together(list(commands)))

    def run(self, script: Script, *calls: tuple[Sequence[bytes], Sequence[Any]]) -> list[Any]:
        """Run a script with names and arguments, several times in one round trip."""
        commands = [called(script, names, *arguments) for names, arguments in calls]
        return run(self._link.together(commands, [script]))

    def name(self, key: bytes) -> bytes:
        """Return the name of a wording's hash."""
        return self.prefix + key.hex().encode()

    def key(self, name: bytes) -> bytes | None:
        """Return the key of a hash; None if the name is none of ours."""
        try:
            return bytes.fromhex(name[len(self.prefix) :].decode("ascii"))
        except ValueError:
            return None

    def read(self, name: bytes, values: Sequence[bytes | None]) -> Read | None:
        """Read the values of FIELDS; None if they are not what we write."""
        key = self.key(name)
        scope, answer, text, expires, barred, vector = values
        if key is None or None in values or len(vector or b"") != 2 * self.dimension:
            return None
        assert scope is not None
        assert answer is not None
        assert vector is not None
        try:
            wording = Wording(
                key,
                scope,
                answer,
                (text or b"").decode("utf-8", "surrogatepass"),
                float(expires) if expires else None,
                barred == b"1",
            )
        except ValueError:
            return None
        return Read(wording, vector)

    def scan(self, after: bytes, limit: int) -> list[Wording]:
        """List wordings that are alive in the order of their keys, behind `after`."""
        with self._lock:
            if not after or after != self._listed_to:
                self._listing = run(self._link.in_thread(self._list, patience=LISTING))
            found: list[Wording] = []
            left = [key for key in self._listing if key > after]
            while left and len(found) < limit:
                asked, left = left[:READ_AT_ONCE], left[READ_AT_ONCE:]
                names = [self.name(key) for key in asked]
                answers = self.ask(*[("HMGET", name, *FIELDS) for name in names])
                read = [self.read(*it) for it in zip(names, answers, strict=True)]
                now = self.clock()
                found += [it.wording for it in read if it and is_alive(it.wording, now)]
            self._listed_to = found[limit - 1].key if len(found) >= limit else None
            return found[:limit]

    def close(self) -> None:
        """Let go of all connections."""
        run(self._link.close())

    def after_fork(self, *, child: bool) -> None:
        """Go on; in the child, with connections of its own."""
        super().after_fork(child=child)
        if child:
            self._link.after_fork()

    def _list(self, client: Any) -> list[bytes]:
        if self.address.cluster:
            client = client.get_redis_connection(client.get_node_from_key(self.place))
        match = re.sub(rb"([\\*?\[\]^])", rb"\\\1", self.prefix) + b"*"
        names = client.scan_iter(match=match, count=1000)
        return sorted({key for key in map(self.key, names) if key is not None})


class RedisLedger:
    """Counts in a hash of the server. A reply that is lost may let one addition count twice."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        namespace = rows.address.namespace.encode()
        self._name = b"%b:{%b}:counts" % (namespace, namespace)

    def add(self, counts: Mapping[str, int]) -> None:
        """Add to counts."""
        if counts:
            self._rows.ask(
                *[("HINCRBY", self._name, name.encode(), it) for name, it in counts.items()]
            )

    def read(self) -> Mapping[str, int]:
        """Return all counts."""
        found = self._rows.ask(("HGETALL", self._name))[0]
        pairs = (
            found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
        )
        return {name.decode(errors="replace"): int(number) for name, number in pairs}


def tag(scope: bytes) -> bytes:
    """Return letters that stand for a scope."""
    return blake3(scope).hexdigest(16).encode()


def written(wording: Wording, vector: bytes) -> list[bytes | int]:
    """Write a wording as our scripts take it: when it ends, the tag, and the values of FIELDS."""
    ends = b"" if wording.expires is None else int(wording.expires * 1000)
    return [
        ends,
        tag(wording.scope),
        wording.scope,
        wording.answer,
        wording.text.encode("utf-8", "surrogatepass"),
        b"" if wording.expires is None else repr(wording.expires).encode(),
        b"1" if wording.barred else b"0",
        vector,
    ]


def in_parts(those: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Divide a list into parts of a size at most."""
    return [those[start : start + size] for start in range(0, len(those), size)]
