"""Entries in a PostgreSQL: one round trip to get, one to put.

A statement's values are written into it (bytes as hexadecimal, numbers), so that each is one round
trip and nothing is kept prepared in the server.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from blake3 import blake3

from askonce import blocking
from askonce.codec import decode, encode
from askonce.colours import Workers
from askonce.errors import StoreError
from askonce.model import NOTHING, Entry, Versions
from askonce.postgres import address
from askonce.postgres.address import Address
from askonce.postgres.leases import PostgresLeases
from askonce.postgres.sessions import Sessions
from askonce.postgres.tables import Tables, blob
from askonce.stores import forks
from askonce.stores.breaker import Breaker
from askonce.stores.contract import Found

T = TypeVar("T")

MOST_TAGS = 100_000
"""Tags remembered. One more, and all are dropped: everything that carries a tag is dead."""

AT_ONCE = 100
"""Entries written by one statement; more are written in one transaction."""

BETWEEN_SWEEPS, SWEPT = 32, 128
"""Puts between two sweeps, and expired entries that a sweep drops at most."""

GENERATION = -1
"""The place of the generation among the numbers; those from 0 on are failures of leaders."""

_NEEDS = "a user who may create tables"

# Values are packed already.
_TABLES = """
CREATE TABLE IF NOT EXISTS {entries} (
    key bytea PRIMARY KEY, expires double precision, value bytea NOT NULL);
ALTER TABLE {entries} ALTER COLUMN value SET STORAGE EXTERNAL;
CREATE INDEX IF NOT EXISTS {entries}_expires ON {entries} (expires) WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS {tags} (
    id bigint GENERATED ALWAYS AS IDENTITY, name bytea PRIMARY KEY, version bytea NOT NULL);
CREATE INDEX IF NOT EXISTS {tags}_id ON {tags} (id);
CREATE TABLE IF NOT EXISTS {numbers} (place integer PRIMARY KEY, number bigint NOT NULL);
INSERT INTO {numbers} VALUES ({generation}, (random() * 1e18)::bigint) ON CONFLICT DO NOTHING;
"""

_FIND = "SELECT true, key, value FROM {entries} WHERE key IN ({keys})"
_CURRENT = "SELECT false, name, version FROM {tags} WHERE name IN ({names})"
_HOW_MANY = "SELECT max(id) - min(id) + 1 FROM {tags}"
_DROP_TAGS = "DELETE FROM {tags}"
_ADD = "INSERT INTO {tags} (name, version) VALUES {rows} ON CONFLICT DO NOTHING"
_RENEW = "UPDATE {tags} SET version = {version} WHERE name = {name}"
_SET = """INSERT INTO {tags} (name, version) VALUES ({name}, {version})
    ON CONFLICT (name) DO UPDATE SET version = excluded.version"""
_KEEP = """INSERT INTO {entries} (key, expires, value) VALUES {rows}
    ON CONFLICT (key) DO UPDATE SET expires = excluded.expires, value = excluded.value"""
_SWEEP = """DELETE FROM {entries} WHERE key IN (
    SELECT key FROM {entries} WHERE expires <= {now} LIMIT {most} FOR UPDATE SKIP LOCKED)"""
# Even if nothing was here: the near store of another process may hold one of them.
_FORGET = """WITH gone AS (DELETE FROM {entries} WHERE key IN ({keys}) RETURNING 1),
    told AS (UPDATE {numbers} SET number = (random() * 1e18)::bigint WHERE place = {generation})
    SELECT count(*) FROM gone"""
_PAGE = "SELECT true, key, value FROM {entries} WHERE key > {after} ORDER BY key LIMIT {most}"
_GENERATION = "SELECT number FROM {numbers} WHERE place = {generation}"


class PostgreSQL:
    """A store on a server, shared by all who know its address. Nothing is opened before first use.

    Entries that have expired are dropped by later puts. What has no end stays until it is
    forgotten: how much there may be in all is not bounded here. `clock` is the time of entries,
    `steady` that after which a server that failed is tried again.
    """

    blocking = False

    def __init__(
        self,
        url: str | Address,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        said = address.read(url) if isinstance(url, str) else url
        self._clock = clock
        names = {it: f"{said.namespace}_{it}" for it in ("entries", "tags", "numbers")}
        names["generation"] = str(GENERATION)
        self._tables = Tables(Sessions(said, {}), names, made=_TABLES, needs=_NEEDS)
        self._workers = Workers()
        self._puts = 0
        self.breaker = Breaker(steady)
        """What the store above us asks before it asks us; leases ask it too."""
        self.leases = PostgresLeases(self._tables, self.breaker)
        forks.watch(self)

    async def get(self, keys: Sequence[bytes], tags: Collection[str] = ()) -> Found:
        """Look up entries that are alive, and the version of each tag, made now if it has none."""
        return await self._off_loop(lambda: self._get(keys, tags))

    async def put(self, entries: Mapping[bytes, Entry]) -> None:
        """Keep entries, all or none, in place of what their keys held."""
        await self._off_loop(lambda: self._put(entries))

    async def forget(self, keys: Sequence[bytes]) -> int:
        """Drop entries and say how many there were."""
        return await self._off_loop(lambda: self._forget(keys))

    async def invalidate(self, tag: str, version: bytes | None = None) -> None:
        """Let everything that carries another version of this tag be dead from now on."""
        renew, made = (_RENEW, os.urandom(16)) if version is None else (_SET, version)
        await self._off_loop(lambda: self._ask(renew, name=blob(_name(tag)), version=blob(made)))

    async def scan(self, after: bytes = b"", limit: int = 500) -> Sequence[tuple[bytes, Entry]]:
        """List entries that are alive in order of their keys, at most `limit` behind `after`."""
        return await self._off_loop(lambda: self._scan(after, limit))

    async def generation(self) -> int:
        """Return a number that changes when any process forgets entries."""
        rows = await self._off_loop(lambda: self._ask(_GENERATION))
        return int(rows[0][0]) if rows else 0

    async def close(self) -> None:
        """Let go of all sessions and leases."""
        self._tables.close()
        await self._off_loop(self.leases.close)

    def before_fork(self) -> None:
        """Nothing need come to rest: a child begins anew."""

    def after_fork(self, *, child: bool) -> None:
        """Begin anew in the child, with threads and leases of its own."""
        if child:
            self._workers = Workers()
            self.leases.after_fork()

    async def _off_loop(self, work: Callable[[], T]) -> T:
        """Wait for the server here, or, in a task, in a thread."""
        if blocking.is_running():
            return work()
        return await asyncio.wrap_future(self._workers.begin(work))

    def _ask(self, statement: str, **values: object) -> list[list[Any]]:
        return self._tables.ask(self._tables.sql(statement, **values))

    def _get(self, keys: Sequence[bytes], tags: Collection[str]) -> Found:
        parts = [_FIND] if keys else []
        parts += [_CURRENT] if tags else []
        if not parts:
            self._tables.sessions.check_open()
            return Found(())
        names = {tag: _name(tag) for tag in tags}
        rows = self._ask(" UNION ALL ".join(parts), keys=_list(keys), names=_list(names.values()))
        values = {key: value for is_entry, key, value in rows if is_entry}
        told = {name: version for is_entry, name, version in rows if not is_entry}
        versions = {tag: told[name] for tag, name in names.items() if name in told}
        if len(versions) < len(names):
            versions = self._made_versions(tags)
        entries = [decode(key, values[key]) if key in values else None for key in keys]
        return Found(self._alive(entries, versions), versions if tags else NOTHING)

    def _alive(
        self, entries: Sequence[Entry | None], versions: Versions = NOTHING
    ) -> tuple[Entry | None, ...]:
        """Put None in place of entries that carry a version which is not the current one.

        Of tags that are not among `versions` it is read now, behind the entries: a version that
        changed in between makes them dead.
        """
        carried = {tag for entry in entries if entry is not None for tag in entry.tags}
        unknown = carried - versions.keys()
        current = {**versions, **(self._versions(unknown) if unknown else NOTHING)}
        return tuple(
            [
                entry
                if entry is None or all(current.get(it) == seen for it, seen in entry.tags.items())
                else None
                for entry in entries
            ]
        )

    def _versions(self, tags: Collection[str]) -> dict[str, bytes]:
        names = {_name(tag): tag for tag in tags}
        rows = self._ask(_CURRENT, names=_list(names))
        return {names[name]: version for _, name, version in rows}

    def _made_versions(self, tags: Collection[str]) -> dict[str, bytes]:
        """Return the version of each tag; those without one get one now."""
        rows = ",".join(
            f"({blob(name)}, {blob(os.urandom(16))})" for name in sorted(map(_name, tags))
        )

        sql = self._tables.sql

        def work(session: Any) -> None:
            if (session.run(sql(_HOW_MANY))[0][0] or 0) + len(tags) > MOST_TAGS:
                session.run(sql(_DROP_TAGS))
            session.run(sql(_ADD, rows=rows))

        self._tables.do(work)
        versions = self._versions(tags)
        if len(versions) < len(set(tags)):
            raise StoreError("the versions of tags were dropped while they were made")
        return versions

    def _put(self, entries: Mapping[bytes, Entry]) -> None:
        try:
            # In one order, so that two who keep the same never wait in a ring.
            rows = [
                f"({blob(key)}, {_number(entries[key].end)}, {blob(encode(key, entries[key]))})"
                for key in sorted(entries)
            ]
        except (ValueError, OverflowError) as error:
            raise StoreError(f"this cannot be stored: {error}") from error
        statements = [
            self._tables.sql(_KEEP, rows=",".join(rows[start : start + AT_ONCE]))
            for start in range(0, len(rows), AT_ONCE)
        ]
        if len(statements) > 1:
            self._tables.do(lambda session: [session.run(it) for it in statements])
        elif statements:
            self._tables.ask(statements[0])
        else:
            self._tables.sessions.check_open()
        self._puts += 1
        if self._puts % BETWEEN_SWEEPS == 0:
            self._ask(_SWEEP, now=repr(self._clock()), most=SWEPT)

    def _forget(self, keys: Sequence[bytes]) -> int:
        if not keys:
            self._tables.sessions.check_open()
            return 0
        return int(self._ask(_FORGET, keys=_list(keys))[0][0])

    def _scan(self, after: bytes, limit: int) -> list[tuple[bytes, Entry]]:
        found: list[tuple[bytes, Entry]] = []
        while len(found) < limit:
            rows = self._ask(_PAGE, after=blob(after), most=limit)
            entries = self._alive([decode(key, value) for _, key, value in rows])
            pairs = zip(rows, entries, strict=True)
            found += [(row[1], it) for row, it in pairs if it is not None]
            if len(rows) < limit:
                break
            after = rows[-1][1]
        return found[:limit]


def _name(tag: str) -> bytes:
    """Return what stands for a tag: an index holds no name of any length."""
    return blake3(tag.encode("utf-8", "surrogatepass")).digest(16)


def _list(blobs: Iterable[bytes]) -> str:
    return ",".join(map(blob, blobs))


def _number(value: float | None) -> str:
    return "NULL" if value is None else repr(value)
