"""Checks of a PostgreSQL: can it be reached, may we do what we must, and how far away is it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from askonce.commands import checks
from askonce.commands.amounts import counted, size, span
from askonce.commands.checks import Check
from askonce.commands.opening import BUSY, Place
from askonce.errors import StoreError
from askonce.postgres import address
from askonce.postgres.address import Address
from askonce.postgres.sessions import Sessions

OLDEST = 13
"""The oldest version that is still mended: https://www.postgresql.org/support/versioning/."""
OLDEST_VECTORS = (0, 8)
"""Of pgvector: the first that goes on searching until enough are of a scope."""

LOOKS = 50
SLOW = 0.005
"""Seconds for one round trip from which a hit is not what one takes a cache for."""

_MAY = """SELECT has_schema_privilege(current_schema(), 'CREATE'), current_user, current_schema(),
    pg_is_in_recovery()"""
_VECTOR = """SELECT coalesce(installed_version, default_version) FROM pg_available_extensions
    WHERE name = 'vector'"""
_KEPT = """SELECT reltuples::bigint, pg_total_relation_size(oid) FROM pg_class
    WHERE oid = to_regclass('{name}')"""


def store(found: Place) -> Iterator[Check]:
    """Check a server from the outside in; what is found broken ends it."""
    said = address.read(found.url)
    yield Check("store", "ok", f"{said.shown} (from {found.said_by})")
    try:
        session = Sessions(said, {}).open(BUSY)
    except StoreError as error:
        yield _unreachable(said, error)
        return
    with closing(session):
        yield _server(session)
        yield _tls(said)
        may = _may(session)
        yield may
        if may.state == "broken":
            return
        yield _vectors(session)
        yield _latency(session, said)
        yield _kept(session, said)
    use = checks.use(found)
    if use is not None:
        yield use


def _unreachable(said: Address, error: StoreError) -> Check:
    fix = f"start a PostgreSQL there, or say where it is: {address.SHAPE}"
    if "password" in str(error) or "role" in str(error):
        fix = "put a user and a password into the URL that the server knows"
    return Check("server", "broken", str(error).removeprefix(f"{said.shown}: "), fix)


def _server(session: Any) -> Check:
    version = str(session.run("SHOW server_version")[0][0])
    major = int(version.partition(".")[0].split()[0])
    if major < OLDEST:
        return Check(
            "server", "warn", f"PostgreSQL {version} gets no mends any more", "upgrade the server"
        )
    return Check("server", "ok", f"PostgreSQL {version}")


def _tls(said: Address) -> Check:
    near = said.host in ("localhost", "127.0.0.1", "::1")
    if said.tls == "verify-full":
        return Check("tls", "ok", "the server's certificate is verified")
    if near:
        return Check("tls", "ok", "the server is on this machine")
    fix = f"add ?sslmode=verify-full to the URL of {said.shown}"
    if said.tls == "require":
        return Check("tls", "warn", "encrypted, but for whoever answers", fix)
    return Check("tls", "warn", "prompts and answers go over the network in the clear", fix)


def _may(session: Any) -> Check:
    creates, user, schema, recovers = session.run(_MAY)[0]
    if recovers:
        return Check("permissions", "broken", "it is a replica", "name the primary in the URL")
    if not creates:
        return Check(
            "permissions",
            "broken",
            f"{user} may not create tables in the schema {schema}",
            f"GRANT CREATE ON SCHEMA {schema} TO {user}",
        )
    return Check("permissions", "ok", f"{user} may create tables in the schema {schema}")


def _vectors(session: Any) -> Check:
    rows = session.run(_VECTOR)
    if not rows:
        return Check("pgvector", "ok", "not there; only the semantic tiers need it")
    version = str(rows[0][0])
    if tuple(map(int, version.split(".")[:2])) < OLDEST_VECTORS:
        return Check(
            "pgvector",
            "warn",
            f"{version}: the semantic tiers need {'.'.join(map(str, OLDEST_VECTORS))}",
            "upgrade pgvector, then ALTER EXTENSION vector UPDATE",
        )
    return Check("pgvector", "ok", version)


def _latency(session: Any, said: Address) -> Check:
    took = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        session.run("SELECT 1")
        took.append(time.perf_counter() - began)
    median, most = statistics.median(took), max(took)
    says = f"{span(median)} a round trip, {span(most)} at most"
    if most > said.timeout:
        fix = "add ?timeout=1s to the URL, or use a server that is nearer"
        return Check("latency", "warn", f"{says}; a call waits {span(said.timeout)}", fix)
    if median > SLOW:
        return Check("latency", "warn", says, "use a server that is nearer")
    return Check("latency", "ok", says)


def _kept(session: Any, said: Address) -> Check:
    rows = session.run(_KEPT.format(name=f"{said.namespace}_entries"))
    if not rows:
        return Check("entries", "ok", "no tables yet: the first cached call makes them")
    number, total = rows[0]
    return Check("entries", "ok", f"about {counted(max(0, number), 'row')}, {size(total)}")
