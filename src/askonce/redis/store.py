"""Entries in Redis or Valkey: one round trip to get, one to put.

Keys are `NAMESPACE:{BUCKET}:e:KEY`, and one hash of tag versions for each bucket,
`NAMESPACE:{BUCKET}:tags`. A cluster has 256 buckets, so that an entry and its tags share a slot; a
single server has one.
"""

from __future__ import annotations

import bisect
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from struct import Struct
from typing import Any

from askonce.codec import decode, encode
from askonce.errors import StoreError
from askonce.model import NOTHING, Entry, Versions
from askonce.redis import address
from askonce.redis.address import Address
from askonce.redis.held import Command
from askonce.redis.leases import RedisLeases
from askonce.redis.link import Link, called
from askonce.redis.names import Names
from askonce.redis.news import News
from askonce.redis.scripts import FORGET, LOOK
from askonce.stores import forks
from askonce.stores.breaker import Breaker
from askonce.stores.contract import Found

MOST_KNOWN = 10_000
"""Keys remembered whose entries carried a tag that was not asked for."""

KEPT_AFTER = 3600.0
"""Seconds for which the server keeps an entry that has expired: it may still be served stale."""

MOST_TAGS = 100_000
"""Tag names remembered in all. One more in a bucket, and all of its tags are dead."""

CONFIRMED = 0.1
"""Seconds to wait until a replica has an invalidation too."""

AT_ONCE = 1000
"""Keys forgotten by one script: Lua's stack ends at 8,000."""

READ_AT_ONCE = 100
"""Entries listed by one script: others wait for it, and some may be large."""

LARGE, PATIENCE = 2**20, 1.0
"""From so many bytes on a put may take so many seconds longer: a slow network is not a dead one."""

_SIZE = Struct("<I")
_NAME = Struct("<H")
_VERSION = 17


class Redis:
    """A store on a server, a cluster or a replicated server, shared by all who know its address.

    The server drops entries an hour after they expire; how much it may hold in all is its own
    `maxmemory`. Nothing is opened before the first use. `clock` is the time of entries, `steady`
    that after which a server that failed is tried again.
    """

    blocking = False

    def __init__(
        self,
        url: str | Address,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address.read(url) if isinstance(url, str) else url
        self._clock = clock
        self._link = Link(self._address)
        self._names = Names(self._address)
        self._news = News(self._address, self._names)
        self.breaker = Breaker(steady)
        """What the store above us asks before it asks us; leases ask it too."""
        self.leases = RedisLeases(self._link, self._names, self._news, self.breaker)
        self._tagged: set[bytes] = set()
        """Keys of which the script is asked at once, as their entries carried unnamed tags."""
        self._listing: list[bytes] | None = None
        self._listed_to: bytes | None = None
        forks.watch(self)

    def watch(self, forgotten: Callable[[Sequence[bytes] | None], None]) -> None:
        """Call `forgotten` with the keys that others forget; with None when some may be missed."""
        self._news.watch(forgotten)

    async def get(self, keys: Sequence[bytes], tags: Collection[str] = ()) -> Found:
        """Look up entries that are alive, and the version of each tag, made now if it has none."""
        self._news.begin()
        if len(self._names.buckets) > 1:
            return await self._get_from_buckets(keys, tags)
        if not (keys or tags):
            return Found(())
        if len(keys) == 1 and keys[0] not in self._tagged:
            found = await self._get_one(keys[0], tags)
            if found is not None:
                return found
        names = [self._names.tags(0), *map(self._names.entry, keys)]
        answer = await self._link.run(LOOK, names, b"", MOST_TAGS, *_asked(tags, 0))
        entries = tuple([_read(key, value) for key, value in zip(keys, answer, strict=False)])
        return Found(
            entries, dict(zip(tags, answer[len(keys) :], strict=True)) if tags else NOTHING
        )

    async def _get_one(self, key: bytes, tags: Collection[str]) -> Found | None:
        """Do the same without a script, which takes longer than all the rest of the server's work.

        None if a tag has no version yet, or the entry carries one that was not asked for.
        """
        commands: list[Command] = [("GET", self._names.entry(key))]
        if tags:
            # Behind the entry: a version that changes in between makes it dead.
            commands.append(("HMGET", self._names.tags(0), *[tag.encode() for tag in tags]))
        value, *told = await self._link.together(commands)
        versions = dict(zip(tags, told[0], strict=True)) if tags else NOTHING
        entry, is_alive = _read(key, value), True
        if None in versions.values():
            return None
        for tag, version in entry.tags.items() if entry is not None else ():
            if tag not in versions:
                if len(self._tagged) >= MOST_KNOWN:
                    self._tagged.clear()
                self._tagged.add(key)
                return None
            is_alive = is_alive and versions[tag] == version
        return Found((entry if is_alive else None,), versions)

    async def _get_from_buckets(self, keys: Sequence[bytes], tags: Collection[str]) -> Found:
        """Do the same on a cluster: each bucket is one script, all of them one round trip."""
        places = self._buckets(keys) or ({0: []} if tags else {})
        commands: list[Command] = []
        for bucket, members in places.items():
            asked = tags if not commands else ()
            names = [self._names.tags(bucket), *map(self._names.entry, members)]
            arguments = self._names.most_tags(MOST_TAGS), *_asked(asked, bucket)
            commands.append(called(LOOK, names, bytes((bucket,)), *arguments))
        answers = await self._link.together(commands, [LOOK]) if commands else []
        found = {
            key: entry
            for members, answer in zip(places.values(), answers, strict=True)
            for key, value in zip(members, answer, strict=False)
            if (entry := _read(key, value)) is not None
        }
        await self._check_elsewhere(found)
        versions = dict(zip(tags, answers[0][-len(tags) :], strict=True)) if tags else NOTHING
        return Found(tuple([found.get(key) for key in keys]), versions)

    async def put(self, entries: Mapping[bytes, Entry]) -> None:
        """Keep entries in place of what their keys held; on a cluster each by itself."""
        self._listing = None
        try:
            commands = [self._setting(key, entry) for key, entry in entries.items()]
        except (ValueError, OverflowError) as error:
            raise StoreError(f"this cannot be stored: {error}") from error
        if commands:
            is_large = sum(len(command[2]) for command in commands) >= LARGE
            await self._link.together(commands, patience=PATIENCE if is_large else 0.0)
        else:
            self._link.check_open()

    async def forget(self, keys: Sequence[bytes]) -> int:
        """Drop entries and say how many there were."""
        commands: list[Command] = []
        for members in self._buckets(dict.fromkeys(keys)).values():
            for first in range(0, len(members), AT_ONCE):
                some = members[first : first + AT_ONCE]
                names = [self._names.entry(key) for key in some]
                news = self._names.news, b"".join((b"d", *some))
                commands.append(called(FORGET, names, *news))
        if not commands:
            self._link.check_open()
        return sum(await self._link.together(commands, [FORGET])) if commands else 0

    async def invalidate(self, tag: str, version: bytes | None = None) -> None:
        """Give a tag another version in every bucket. StoreError if one cannot be reached.

        Where there are replicas, one of them has it before this returns.
        """
        await self._link.in_thread(
            lambda client: self._invalidate(client, tag.encode(), version), patience=CONFIRMED
        )

    async def scan(self, after: bytes = b"", limit: int = 500) -> Sequence[tuple[bytes, Entry]]:
        """List entries that are alive in order of their keys, at most `limit` behind `after`.

        The server knows no order: its keys are listed once, and again when a page is not the next.
        """
        if self._listing is None or after != self._listed_to:
            self._listing = await self._link.in_thread(self._list)
        found: list[tuple[bytes, Entry]] = []
        at = bisect.bisect_right(self._listing, after) if after else 0
        while len(found) < limit and at < len(self._listing):
            page = self._listing[at : at + min(limit, READ_AT_ONCE)]
            at += len(page)
            entries = (await self.get(page)).entries
            found += [(key, it) for key, it in zip(page, entries, strict=True) if it is not None]
        found = found[:limit]
        self._listed_to = found[-1][0] if found else None
        return found

    def before_fork(self) -> None:
        """Nothing need come to rest: a child begins anew."""

    def after_fork(self, *, child: bool) -> None:
        """Begin anew in the child, with connections, threads and leases of its own."""
        if child:
            self._link.after_fork()
            self._news.after_fork()
            self.leases.after_fork()

    async def close(self) -> None:
        """Let go of all connections and leases."""
        self._news.end()
        await self._link.off_loop(self.leases.close)
        await self._link.close()

    def _buckets(self, keys: Iterable[bytes]) -> dict[int, list[bytes]]:
        places: dict[int, list[bytes]] = {}
        for key in keys:
            places.setdefault(self._names.bucket(key), []).append(key)
        return places

    def _setting(self, key: bytes, entry: Entry) -> Command:
        value = _tagged(entry.tags) + encode(key, entry)
        if entry.end is None:
            return ("SET", self._names.entry(key), value)
        left = max(0.0, entry.end - self._clock()) + KEPT_AFTER
        return ("SET", self._names.entry(key), value, "PX", int(left * 1000))

    async def _check_elsewhere(self, found: dict[bytes, Entry]) -> None:
        """Drop entries that carry a version of another bucket, where it is no longer current."""
        asked = [
            (key, tag, version)
            for key, entry in found.items()
            for tag, version in entry.tags.items()
            if version[:1] != bytes((self._names.bucket(key),))
        ]
        if not asked:
            return
        commands: list[Command] = [
            ("HGET", self._names.tags(version[0] if version else 0), tag.encode())
            for _, tag, version in asked
        ]
        answers = await self._link.together(commands)
        for (key, _, version), current in zip(asked, answers, strict=True):
            if current != version:
                found.pop(key, None)

    def _invalidate(self, client: Any, name: bytes, version: bytes | None) -> None:
        with client.pipeline(transaction=False) as pipeline:
            for bucket in self._names.buckets:
                pipeline.execute_command(*self._renewal(bucket, name, version))
            pipeline.execute()
        for node, bucket in self._owners(client):
            self._confirm(node, bucket, name, version)

    def _renewal(self, bucket: int, name: bytes, version: bytes | None) -> Command:
        """Return what gives a tag a version; without one, it has none and is dead."""
        tags = self._names.tags(bucket)
        if version is None:
            return ("HDEL", tags, name)
        return ("HSET", tags, name, bytes((bucket,)) + version)

    def _confirm(self, node: Any, bucket: int, name: bytes, version: bytes | None) -> None:
        """Wait until a replica has all that was written, if there is one.

        https://redis.io/docs/latest/commands/wait/: it waits for what its own connection wrote
        last. So something must be written there, and change something, behind all that matters.
        """
        if not node.info("replication").get("connected_slaves"):
            return
        tags = self._names.tags(bucket)
        with node.pipeline(transaction=False) as pipeline:
            pipeline.execute_command("HSET", tags, name, bytes((bucket,)) + os.urandom(16))
            pipeline.execute_command(*self._renewal(bucket, name, version))
            pipeline.execute_command("WAIT", 1, int(CONFIRMED * 1000))
            confirmed = pipeline.execute()[-1]
        if not confirmed:
            raise StoreError(
                f"{self._address.shown}: no replica has confirmed the invalidation, so a failover "
                "could undo it; invalidate again"
            )

    def _owners(self, client: Any) -> list[tuple[Any, int]]:
        """Return each node that has a bucket, and one that it has."""
        if not self._address.cluster:
            return [(client, 0)]
        found = [
            (client.get_node_from_key(self._names.tags(bucket)), bucket)
            for bucket in self._names.buckets
        ]
        one_each = {node.name: (node, bucket) for node, bucket in found}
        return [(client.get_redis_connection(node), bucket) for node, bucket in one_each.values()]

    def _primaries(self, client: Any) -> list[Any]:
        if not self._address.cluster:
            return [client]
        return [client.get_redis_connection(node) for node in client.get_primaries()]

    def _list(self, client: Any) -> list[bytes]:
        found: list[bytes] = []
        for node in self._primaries(client):
            names = node.scan_iter(match=self._names.every_entry, count=1000)
            found += map(self._names.key, names)
        return sorted(set(found))


def _asked(tags: Collection[str], bucket: int) -> list[bytes]:
    """Return what versions are made of for tags that have none, and the tags."""
    if not tags:
        return []
    return [bytes((bucket,)) + os.urandom(16 * len(tags)), *[tag.encode() for tag in tags]]


def _tagged(tags: Versions) -> bytes:
    """Write what the server must know: the versions of the tags."""
    parts = [
        part
        for tag, version in tags.items()
        for part in (_NAME.pack(len(tag.encode())), tag.encode(), _fitted(version))
    ]
    return b"".join((_SIZE.pack(_SIZE.size + sum(map(len, parts))), *parts))


def _fitted(version: bytes) -> bytes:
    # A version that no Redis made is never current, whatever its length.
    return version[:_VERSION].ljust(_VERSION, b"\0")


def _read(key: bytes, value: bytes | None) -> Entry | None:
    if value is None or len(value) < _SIZE.size:
        return None
    return decode(key, value[_SIZE.unpack_from(value)[0] :])
