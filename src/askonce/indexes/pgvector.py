"""An index in PostgreSQL with pgvector 0.8 or newer: a table for each embedder and dimension.

The planner decides how to search: a small scope by its own index and exactly, a large one in the
HNSW graph, which goes on until enough are of the scope (`hnsw.iterative_scan`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from blake3 import blake3
from numpy.typing import NDArray

from askonce.indexes import vectors
from askonce.indexes.choosing import Read, search
from askonce.postgres import address as addresses
from askonce.postgres.address import Address
from askonce.postgres.sessions import Sessions
from askonce.postgres.tables import Tables
from askonce.semantic.contract import Neighbour, Wording

SETTINGS = {
    "hnsw.iterative_scan": "strict_order",
    "hnsw.ef_search": "200",
    # A plan made for any scope would search a small one as it does a large one.
    "plan_cache_mode": "force_custom_plan",
}

MOST_DIMENSIONS = 4000
"""pgvector indexes no halfvec of more."""

AT_ONCE = 100
"""Wordings written by one statement."""

SWEPT = 64
"""Expired rows that an add drops at most, beyond as many as it adds."""

_NEEDS = "pgvector 0.8 or newer, and a user who may create tables and the extension `vector`"

_COLUMNS = "key, scope, answer, text, expires, barred, halfvec_send(vector)"

_TABLES = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE IF NOT EXISTS {table} (
    key bytea PRIMARY KEY, scope bytea NOT NULL, answer bytea NOT NULL, text bytea NOT NULL,
    expires double precision, barred boolean NOT NULL, vector halfvec({dimension}) NOT NULL);
CREATE INDEX IF NOT EXISTS {table}_scope ON {table} (scope);
CREATE INDEX IF NOT EXISTS {table}_expires ON {table} (expires) WHERE expires IS NOT NULL;
CREATE INDEX IF NOT EXISTS {table}_vector ON {table} USING hnsw (vector halfvec_cosine_ops);
COMMENT ON TABLE {table} IS {embedder};
CREATE TABLE IF NOT EXISTS {counts} (name text PRIMARY KEY, number bigint NOT NULL);
"""

_KEEP = """INSERT INTO {table} (key, scope, answer, text, expires, barred, vector)
    SELECT key, scope, answer, text, expires, barred, CAST(vector AS halfvec) FROM unnest(
        CAST(:key AS bytea[]), CAST(:scope AS bytea[]), CAST(:answer AS bytea[]),
        CAST(:text AS bytea[]), CAST(:expires AS double precision[]), CAST(:barred AS boolean[]),
        CAST(:vector AS text[])
    ) AS given (key, scope, answer, text, expires, barred, vector)
    ON CONFLICT (key) DO UPDATE SET scope = excluded.scope, answer = excluded.answer,
    text = excluded.text, expires = excluded.expires, barred = excluded.barred,
    vector = excluded.vector"""
_SWEEP = """DELETE FROM {table} WHERE key IN (
    SELECT key FROM {table} WHERE expires <= :now LIMIT :most FOR UPDATE SKIP LOCKED)"""
_NEAREST = """SELECT {columns} FROM {table}
    WHERE scope = :scope AND (expires IS NULL OR expires > :now)
    ORDER BY vector <=> CAST(:asked AS halfvec) LIMIT :wanted"""
_DROP = "DELETE FROM {table} WHERE key = ANY(CAST(:keys AS bytea[]))"
_PAGE = """SELECT {columns} FROM {table}
    WHERE key > :after AND (expires IS NULL OR expires > :now) ORDER BY key LIMIT :most"""
_RAISE = """INSERT INTO {counts} AS old VALUES (:name, :number)
    ON CONFLICT (name) DO UPDATE SET number = old.number + excluded.number"""
_COUNTS = "SELECT name, number FROM {counts}"


class PgVector:
    """Wordings that all who know the server's address share. Nothing is opened before first use."""

    def __init__(
        self,
        url: str | Address,
        *,
        embedder: str,
        dimension: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        address = addresses.read(url) if isinstance(url, str) else url
        self._dimension = dimension
        self._clock = clock
        self._tables = _tables(address, embedder, dimension)
        self.ledger = PostgresLedger(self._tables)
        """Counts in the same database."""

    def add(self, wordings: Sequence[Wording], vectors_: NDArray[Any]) -> None:
        """Keep wordings with their vectors, in place of what their keys held."""
        rows = vectors.halves(vectors_, len(wordings), self._dimension)
        # Of one key the last; in one order, so that two who add the same never wait in a ring.
        given = sorted(
            {it[0].key: it for it in zip(wordings, rows, strict=True)}.items(), key=lambda it: it[0]
        )
        now = self._clock()

        def work(session: Any) -> None:
            for start in range(0, len(given), AT_ONCE):
                part = [it for _, it in given[start : start + AT_ONCE]]
                session.run(self._tables.sql(_KEEP), **_columns(part))
            session.run(self._tables.sql(_SWEEP), now=now, most=len(given) + SWEPT)

        if given:
            self._tables.do(work)

    def nearest(self, scope: bytes, vector: NDArray[Any], count: int) -> Sequence[Neighbour]:
        """Return at most `count` wordings of this scope alone, the nearest first."""
        asked = vectors.question(vector, self._dimension)
        text, now = _text(asked), self._clock()
        sql = self._tables.sql(_NEAREST)

        def find(wanted: int) -> list[Read | None]:
            found = self._tables.do(
                lambda it: it.run(sql, scope=scope, now=now, asked=text, wanted=wanted)
            )
            return [_read(row) for row in found]

        return search(find, asked, count, scope=scope, now=now)

    def discard(self, keys: Sequence[bytes]) -> int:
        """Drop wordings and say how many there were."""
        if not keys:
            return 0

        def work(session: Any) -> int:
            session.run(self._tables.sql(_DROP), keys=_array(keys))
            return int(session.row_count)

        dropped: int = self._tables.do(work)
        return dropped

    def scan(self, after: bytes = b"", limit: int = 500) -> Sequence[Wording]:
        """List wordings that are alive in the order of their keys, behind `after`."""
        page = {"after": after, "now": self._clock(), "most": limit}
        found = self._tables.do(lambda it: it.run(self._tables.sql(_PAGE), **page))
        return [_read(row).wording for row in found]

    def close(self) -> None:
        """Let go of all sessions."""
        self._tables.close()


class PostgresLedger:
    """Counts in a table. A reply that is lost may let one addition count twice."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def add(self, counts: Mapping[str, int]) -> None:
        """Add to counts, all or none."""
        sql = self._tables.sql(_RAISE)

        def work(session: Any) -> None:
            # In one order, so that two who add do not wait for each other.
            for name, number in sorted(counts.items()):
                session.run(sql, name=_escaped(name), number=number)

        if counts:
            self._tables.do(work)

    def read(self) -> Mapping[str, int]:
        """Return all counts."""
        found = self._tables.do(lambda it: it.run(self._tables.sql(_COUNTS)))
        return {_unescaped(name): number for name, number in found}


def _tables(address: Address, embedder: str, dimension: int) -> Tables:
    """Return the tables of one embedder."""
    space = blake3(b"%d:%b" % (dimension, embedder.encode())).hexdigest(8)
    names = {
        "table": f"{address.namespace}_wordings_{space}",
        "counts": f"{address.namespace}_counts",
        "columns": _COLUMNS,
        "dimension": str(dimension),
        "embedder": "'" + embedder.replace("'", "''").replace("\0", "") + "'",
    }
    return Tables(Sessions(address, SETTINGS), names, made=_TABLES, needs=_NEEDS)


def _columns(given: Sequence[tuple[Wording, vectors.Halves]]) -> dict[str, str]:
    """Write each column as an array in the words of PostgreSQL."""
    those = [wording for wording, _ in given]
    texts = [it.text.encode("utf-8", "surrogatepass") for it in those]
    ends = ["NULL" if it.expires is None else repr(it.expires) for it in those]
    return {
        "key": _array([it.key for it in those]),
        "scope": _array([it.scope for it in those]),
        "answer": _array([it.answer for it in those]),
        "text": _array(texts),
        "expires": "{" + ",".join(ends) + "}",
        "barred": "{" + ",".join(["t" if it.barred else "f" for it in those]) + "}",
        "vector": "{" + ",".join([f'"{_text(row)}"' for _, row in given]) + "}",
    }


def _read(row: Sequence[Any]) -> Read:
    key, scope, answer, text, expires, barred, sent = row
    # Its length and two bytes that are not used; then numbers, the high byte first.
    halves = vectors.turned(sent[4:])
    words = text.decode("utf-8", "surrogatepass")
    return Read(Wording(key, scope, answer, words, expires, barred), halves)


def _text(row: NDArray[Any]) -> str:
    return f"[{','.join(map(repr, row.tolist()))}]"


def _array(blobs: Sequence[bytes]) -> str:
    return "{" + ",".join([f'"\\\\x{blob.hex()}"' for blob in blobs]) + "}"


def _escaped(name: str) -> str:
    """Write a name without the NUL that PostgreSQL's text cannot hold."""
    return name.replace("\\", "\\\\").replace("\0", "\\0")


def _unescaped(name: str) -> str:
    return "\\".join(part.replace("\\0", "\0") for part in name.split("\\\\"))
