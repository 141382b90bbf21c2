"""Indexes on servers that die, come back empty, stand still, or lack what is needed."""

from __future__ import annotations

import time
import uuid

import pytest

from askonce.errors import ConfigError, StoreError
from askonce.indexes import open_index, redis_rows
from askonce.indexes.embedded import Embedded
from askonce.indexes.memory import Memory
from askonce.indexes.pgvector import PgVector
from askonce.indexes.redis_either import RedisIndex
from askonce.indexes.redisearch import RediSearch
from askonce.indexes.vector_sets import VectorSets
from askonce.testing import postgres
from askonce.testing.index_contract import HERE, at_random, key, numbers
from askonce.testing.index_contract import wording as worded
from askonce.testing.processes import wait_until
from askonce.testing.servers import Server

DIMENSION = 16
ROWS = at_random(20, dimension=DIMENSION)
ANY = {"embedder": "any", "dimension": DIMENSION}
PATIENT = "timeout=5&connect_timeout=5"


@pytest.fixture(scope="module")
def search(engine):
    """Redis 8 with the query engine beside its vector sets."""
    module = engine("redis7").search
    if module is None:
        pytest.skip("no RediSearch beside redis7")
    with Server(engine("redis8"), config=[f"loadmodule {module}"]) as server:
        yield server


@pytest.fixture(scope="module")
def programs():
    found = postgres.find()
    if found is None:
        pytest.skip(f"no PostgreSQL here: {postgres.INSTALL}")
    return found


@pytest.fixture
def namespace():
    return f"n{uuid.uuid4().hex[:20]}"


def at(server, namespace):
    return f"{server.url}?{PATIENT}&namespace={namespace}"


def fill(index):
    index.add([worded(n) for n in range(20)], ROWS)


def assert_works(index):
    assert numbers(index.nearest(HERE, ROWS[3], 1)) == [3]


def assert_fails_at_once(index):
    for verb in (lambda: index.nearest(HERE, ROWS[0], 1), lambda: fill(index)):
        began = time.monotonic()
        with pytest.raises(StoreError):
            verb()
        assert time.monotonic() - began < 1


# Redis


@pytest.mark.parametrize("kind", [RediSearch, VectorSets])
def test_a_redis_that_is_killed_and_comes_back_empty(engine, kind):
    module = engine("redis7").search
    with Server(engine("redis8"), config=[f"loadmodule {module}"] if module else []) as server:
        index = kind(server.url, **ANY)
        fill(index)
        assert_works(index)
        server.kill()
        assert_fails_at_once(index)
        server.start()
        assert list(index.nearest(HERE, ROWS[3], 1)) == []
        fill(index)
        assert_works(index)
        server.pause()
        assert_fails_at_once(index)
        server.resume()
        wait_until(lambda: works(index), "it works again")
        index.close()


def works(index):
    try:
        assert_works(index)
    except StoreError:
        return False
    return True


@pytest.mark.parametrize("kind", [RediSearch, VectorSets])
def test_hashes_expire_by_themselves(search, namespace, kind):
    index = kind(at(search, namespace), **ANY)
    soon = time.time() + 600
    index.add([worded(0), worded(1, expires=soon), worded(2, expires=soon)], ROWS[:3])
    names = {n: index._rows.name(key(n)).decode() for n in range(3)}
    assert search.command("PTTL", names[0]) == -1
    assert 590_000 < search.command("PTTL", names[1]) <= 600_000
    search.command("PEXPIRE", names[1], 1)
    wait_until(lambda: search.command("EXISTS", names[1]) == 0, "it expires")
    assert set(numbers(index.nearest(HERE, ROWS[1], 5))) == {0, 2}
    index.add([worded(2)], ROWS[2:3])  # for ever, now
    assert search.command("PTTL", names[2]) == -1
    index.close()


def test_what_expires_leaves_the_search_index(search, namespace):
    index = RediSearch(at(search, namespace), **ANY)
    index.add([worded(n, expires=time.time() + 600) for n in range(20)], ROWS)
    assert documents(search, index) == 20
    for n in range(20):
        search.command("PEXPIRE", index._rows.name(key(n)).decode(), 1)
    wait_until(lambda: documents(search, index) == 0, "it is empty")
    index.close()


def documents(server, index):
    told = server.command("FT.INFO", index._index.decode())
    facts = dict(zip(told[::2], told[1::2], strict=True))
    return int(facts[b"num_docs"])


def test_what_expires_leaves_its_vector_set_when_it_is_found(redis8, namespace):
    index = VectorSets(at(redis8, namespace), **ANY)
    fill(index)
    name = (index._sets + redis_rows.tag(HERE)).decode()
    assert redis8.command("VCARD", name) == 20
    for n in range(5):
        redis8.command("DEL", index._rows.name(key(n)).decode())
    assert set(numbers(index.nearest(HERE, ROWS[0], 20))) == set(range(5, 20))
    assert redis8.command("VCARD", name) == 15
    index.close()


def test_a_vector_set_ends_with_the_last_of_its_wordings(redis8, namespace):
    index = VectorSets(at(redis8, namespace), **ANY)
    name = (index._sets + redis_rows.tag(HERE)).decode()
    now = time.time()
    index.add([worded(0, expires=now + 100)], ROWS[:1])
    assert 90_000 < redis8.command("PTTL", name) <= 100_000
    index.add([worded(1, expires=now + 50), worded(2, expires=now + 200)], ROWS[1:3])
    assert 190_000 < redis8.command("PTTL", name) <= 200_000
    index.add([worded(3)], ROWS[3:4])
    assert redis8.command("PTTL", name) == -1
    index.add([worded(4, expires=now + 50)], ROWS[4:5])
    assert redis8.command("PTTL", name) == -1
    index.discard([key(n) for n in range(5)])
    assert redis8.command("EXISTS", name) == 0
    index.close()


def test_names_of_one_namespace_share_a_slot(search, namespace):
    from redis.crc import key_slot

    for kind in (RediSearch, VectorSets):
        index = kind(at(search, namespace), **ANY)
        fill(index)
        index.close()
    names = [it for it in search.command("KEYS", f"{namespace}:*") if b"counts" not in it]
    assert len(names) == 41
    assert len({key_slot(name) for name in names}) == 1
    assert all(name.startswith(namespace.encode() + b":") for name in names)


def test_a_redis_without_either_says_what_it_lacks(valkey, redis8, namespace):
    with pytest.raises(StoreError, match="no query engine: use Redis 8"):
        RediSearch(at(redis8, namespace), **ANY).nearest(HERE, ROWS[0], 1)
    for kind in (VectorSets, RedisIndex):
        index = kind(at(valkey, namespace), **ANY)
        with pytest.raises(StoreError, match="neither vector sets nor a query engine"):
            index.nearest(HERE, ROWS[0], 1)
        index.close()


def test_a_redis_is_used_by_what_it_has(search, redis8, namespace):
    for server, kind in ((search, RediSearch), (redis8, VectorSets)):
        index = RedisIndex(at(server, namespace), **ANY)
        fill(index)
        assert_works(index)
        assert isinstance(index._chosen, kind)
        assert index.discard([key(3)]) == 1
        assert len(index.scan()) == 19
        index.ledger.add({"any": 2})
        assert dict(index.ledger.read()) == {"any": 2}
        index.close()


# PostgreSQL


def test_a_postgres_that_is_killed_and_comes_back(programs):
    with postgres.Postgres(programs) as server:
        index = PgVector(server.url, **ANY)
        fill(index)
        assert_works(index)
        server.kill()
        assert_fails_at_once(index)
        server.start()
        assert_works(index)
        index.discard([key(3)])
        index.ledger.add({"any": 1})
        assert dict(index.ledger.read()) == {"any": 1}
        index.close()


def test_tables_that_were_dropped_are_made_again(programs):
    with postgres.Postgres(programs) as server:
        index = PgVector(f"{server.url}?timeout=5", **ANY)
        fill(index)
        table = index._tables.sql("{table}")
        index._tables.do(lambda session: session.run(f"DROP TABLE {table}"))
        assert list(index.nearest(HERE, ROWS[3], 1)) == []
        fill(index)
        assert_works(index)
        index.close()


def test_a_large_scope_is_searched_in_the_graph_and_a_small_one_is_not(programs):
    with postgres.Postgres(programs) as server:
        index = PgVector(f"{server.url}?timeout=60", **ANY)
        rows = at_random(8000, dimension=DIMENSION)
        index.add([worded(n) for n in range(7990)], rows[:7990])
        there = b"t" * 20
        index.add([worded(n, there) for n in range(7990, 8000)], rows[7990:])
        index._tables.do(lambda session: session.run(index._tables.sql("ANALYZE {table}")))
        assert "_vector" in plan(index, HERE)
        assert "_scope" in plan(index, there)
        assert numbers(index.nearest(HERE, rows[7], 1)) == [7]
        assert len(index.nearest(there, rows[7], 20)) == 10
        index.close()


def plan(index, scope):
    from askonce.indexes import pgvector

    sql = "EXPLAIN " + index._tables.sql(pgvector._NEAREST)
    asked = pgvector._text(ROWS[0])
    words = {"scope": scope, "now": 0.0, "asked": asked, "wanted": 14}
    found = index._tables.do(lambda session: session.run(sql, **words))
    return "\n".join(row[0] for row in found)


def test_a_user_who_may_not_make_tables_is_told_what_is_needed(programs):
    with postgres.Postgres(programs) as server:
        index = PgVector(f"{server.url}?timeout=5", **ANY)
        index.ledger.read()
        index._tables.do(lambda session: session.run("CREATE ROLE somebody LOGIN"))
        url = server.url.replace("postgres@", "somebody@") + "?timeout=5&namespace=other"
        with pytest.raises(StoreError, match="a user who may create tables"):
            fill(PgVector(url, **ANY))
        index.close()


# URLs


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", Memory),
        ("sqlite:///answers.db", Embedded),
        ("redis://localhost", RedisIndex),
        ("rediss+cluster://one,two", RedisIndex),
        ("postgresql://user:pw@host:5433/db?timeout=100ms&sslmode=verify-full", PgVector),
    ],
)
def test_a_url_opens_its_index_and_connects_to_nothing(url, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    index = open_index(url, embedder="any", dimension=8)
    assert type(index) is kind
    index.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "memory",
        "memory://x",
        "sqlite://",
        "sqlite:///",
        "mysql://u:secret@host/db",
        "redis://u:secret@host?timeuot=1",
        "postgresql://u:secret@host/db?sslmode=maybe",
        "postgresql://u:secret@host/db?namespace=a;b",
        "postgresql://u:secret@host/db?timeout=soon",
        "postgresql://u:secret@host:port/db",
    ],
)
def test_a_wrong_url_is_refused_without_its_password(url):
    with pytest.raises(ConfigError) as refused:
        open_index(url, embedder="any", dimension=8)
    assert "secret" not in str(refused.value)
