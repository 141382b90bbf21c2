"""A store seen through a sealer keeps what every store promises, and shows what it keeps to nobody."""

from __future__ import annotations

import os
import uuid

import pytest

from askonce.blocking import run
from askonce.errors import StoreError
from askonce.model import Entry
from askonce.redis.store import Redis
from askonce.sealing import Sealer
from askonce.stores.memory import Memory
from askonce.stores.sealed import OPENED, Sealed
from askonce.stores.sqlite import SQLite
from askonce.stores.tiered import Tiered
from askonce.testing import StoreContract

OLD, NEW = bytes(32), b"\xff" * 32
KEY, OTHER = bytes(range(20)), bytes(range(1, 21))


class OfTenant:
    """A sealed store as a tenant has it, as a store of its own."""

    def __init__(self, store, secrets) -> None:
        self.blocking = store.blocking
        self._store = store
        self._sealed = Sealed(store, Sealer(secrets))

    async def get(self, keys, tags=()):
        return await self._sealed.get("acme", keys, tags)

    async def put(self, entries):
        await self._sealed.put("acme", entries)

    async def forget(self, keys):
        return await self._sealed.forget(keys)

    async def invalidate(self, tag, version=None):
        await self._sealed.invalidate(tag, version)

    async def scan(self, after=b"", limit=500):
        """Sealed names have an order of their own, so all are read for each page."""
        found, behind = {}, b""
        while page := await self._store.scan(behind):
            found |= self._sealed.opened("acme", page)
            behind = page[-1][0]
        return [(key, found[key]) for key in sorted(found) if key > after][:limit]

    async def close(self):
        await self._store.close()


class TestOverMemory(StoreContract):
    def make_store(self, folder):
        return OfTenant(Memory("100MB"), NEW)


class TestOverSQLite(StoreContract):
    def make_store(self, folder):
        return OfTenant(SQLite(folder / "entries.db", "100MB", busy=5), NEW)


class TestOverTiersInTheMiddleOfARotation(StoreContract):
    def make_store(self, folder):
        far = SQLite(folder / "entries.db", "100MB", busy=5)
        return OfTenant(Tiered(Memory("100MB"), far), {"": [NEW, OLD], "acme": [OLD, NEW]})


class TestOverValkeyInTheMiddleOfARotation(StoreContract):
    server = "valkey"

    @pytest.fixture(autouse=True)
    def _served(self, request):
        self.url = request.getfixturevalue(self.server).url

    def make_store(self, folder):
        url = f"{self.url}?namespace={uuid.uuid4().hex}&timeout=5&connect_timeout=5"
        return OfTenant(Redis(url), [NEW, OLD])


class TestOverAClusterInTheMiddleOfARotation(TestOverValkeyInTheMiddleOfARotation):
    server = "redis_cluster"

    def test_a_version_is_made_at_first_use_and_stays(self, caller):
        """A place has versions of its own, and where a sealed name lies is known to nobody."""
        first = caller.get(KEY, tags=("doc:42",)).versions["doc:42"]
        assert first
        assert caller.get(KEY, OTHER, tags=("doc:42", "doc:43")).versions["doc:42"] == first


@pytest.fixture
def store():
    return Memory("100MB")


def sealed(store, *secrets):
    return Sealed(store, Sealer(list(secrets)))


def get(one, *keys, tenant="", tags=()):
    return run(one.get(tenant, keys, tags))


def put(one, entry, key=KEY, tenant=""):
    run(one.put(tenant, {key: entry}))


class Counted(Memory):
    looks = 0

    async def get(self, keys, tags=()):
        self.looks += 1
        return await super().get(keys, tags)


def test_several_keys_and_tags_under_several_secrets_are_one_look():
    store = Counted()
    one = sealed(store, NEW, OLD)
    put(one, Entry(b"a", 1.0))
    found = get(one, OTHER, KEY, tags=("doc:1", "doc:2"))
    assert found.entries == (None, Entry(b"a", 1.0))
    assert found.versions.keys() == {"doc:1", "doc:2"}
    assert store.looks == 1


def test_what_an_older_secret_sealed_is_found_and_replaced_under_the_newest(store):
    old, both, new = sealed(store, OLD), sealed(store, NEW, OLD), sealed(store, NEW)
    put(old, Entry(b"old", 1.0))
    assert get(both, KEY).entries == (Entry(b"old", 1.0),)
    assert get(new, KEY).entries == (None,)
    put(both, Entry(b"new", 2.0))
    assert get(both, KEY).entries == get(new, KEY).entries == (Entry(b"new", 2.0),)


def test_what_was_replaced_never_comes_back_under_its_older_name(store):
    """The newer entry may be evicted first."""
    old, both, new = sealed(store, OLD), sealed(store, NEW, OLD), sealed(store, NEW)
    put(old, Entry(b"old", 1.0))
    put(both, Entry(b"new", 2.0))
    run(new.forget([KEY]))
    assert get(both, KEY).entries == get(old, KEY).entries == (None,)


def test_forgetting_drops_a_key_under_every_secret_and_counts_it_once(store):
    old, both = sealed(store, OLD), sealed(store, NEW, OLD)
    put(old, Entry(b"old", 1.0))
    put(both, Entry(b"new", 1.0), OTHER)
    assert run(both.forget([KEY, OTHER, KEY])) == 2
    assert run(store.scan()) == []
    assert run(both.forget([KEY])) == 0


def test_forgetting_and_invalidating_need_not_know_whose_data_it_is(store):
    one = Sealed(store, Sealer({"": NEW, "acme": OLD}))
    for tenant in ("acme", "other"):
        put(one, Entry(b"kept", 1.0, tags=get(one, tags=["doc:1"]).versions), tenant=tenant)
        assert get(one, KEY, tenant=tenant).entries[0].body == b"kept"
        run(one.invalidate("doc:1"))
        assert get(one, KEY, tenant=tenant).entries == (None,)
        put(one, Entry(b"kept", 1.0), tenant=tenant)
        assert run(one.forget([KEY])) == 1
        assert get(one, KEY, tenant=tenant).entries == (None,)


KNOWN = ([OLD], [NEW], [NEW, OLD], [OLD, NEW])


@pytest.mark.parametrize(
    ("putting", "invalidating"),
    [(put, spoil) for put in KNOWN for spoil in KNOWN if not {*put}.isdisjoint(spoil)],
)
def test_an_invalidation_reaches_every_entry_sealed_under_a_secret_it_knows(
    store, putting, invalidating
):
    """While a rotation is rolled out, processes know the old secret, both, or only the new one."""
    one, other = sealed(store, *putting), sealed(store, *invalidating)
    put(one, Entry(b"a", 1.0, tags=get(one, tags=["doc:1"]).versions))
    assert get(one, KEY).entries[0].body == b"a"
    run(other.invalidate("doc:1"))
    assert get(one, KEY).entries == (None,)


def test_what_memory_holds_is_opened_once_and_for_its_tenant_alone(store):
    one = Sealed(store, Sealer({"": NEW, "acme": OLD}))
    put(one, Entry(b"a" * 60_000, 1.0), tenant="acme")
    first = get(one, KEY, tenant="acme").entries[0]
    assert first == Entry(b"a" * 60_000, 1.0)
    assert get(one, KEY, tenant="acme").entries[0] is first
    for tenant in ("", "other"):
        assert get(one, KEY, tenant=tenant).entries == (None,)
    assert get(one, KEY, tenant="acme").entries[0] is first


def test_what_is_open_gives_way_to_what_is_newer_and_goes_with_what_is_forgotten(store):
    one, other = sealed(store, NEW), sealed(store, NEW)
    put(one, Entry(b"old", 1.0))
    assert get(one, KEY).entries == (Entry(b"old", 1.0),)
    put(other, Entry(b"new", 2.0))
    assert get(one, KEY).entries == (Entry(b"new", 2.0),)
    run(other.forget([KEY]))
    assert get(one, KEY).entries == (None,)


def test_what_is_open_is_bounded(store):
    one = sealed(store, NEW)
    keys = [bytes((number,)) * 20 for number in range(3)]
    run(one.put("", {key: Entry(bytes(OPENED // 2 - 10_000), 1.0) for key in keys}))
    first, second, third = (get(one, key).entries[0] for key in keys)
    assert get(one, keys[2]).entries[0] is third
    assert get(one, keys[1]).entries[0] is second
    again = get(one, keys[0]).entries[0]
    assert again == first
    assert again is not first


def test_a_listing_shows_the_entries_of_one_tenant_with_their_keys(store):
    one = Sealed(store, Sealer({"": NEW, "acme": OLD}))
    put(one, Entry(b"mine", 1.0), KEY, "acme")
    put(one, Entry(b"theirs", 1.0), OTHER, "other")
    page = run(store.scan())
    assert len(page) == 2
    assert list(one.opened("acme", page)) == [(KEY, Entry(b"mine", 1.0))]
    assert list(one.opened("other", page)) == [(OTHER, Entry(b"theirs", 1.0))]


def test_a_value_swapped_in_the_store_is_a_miss(store):
    one = sealed(store, NEW)
    put(one, Entry(b"a", 1.0), KEY)
    put(one, Entry(b"b", 1.0), OTHER)
    (first, a), (second, b) = run(store.scan())
    run(store.put({first: b, second: a}))
    assert get(one, KEY, OTHER).entries == (None, None)


def test_an_answer_whose_tags_were_taken_off_in_the_store_is_a_miss(store):
    one = sealed(store, NEW)
    put(one, Entry(b"a", 1.0, tags=get(one, tags=["doc:1"]).versions))
    [(name, entry)] = run(store.scan())
    run(store.put({name: Entry(entry.body, 1.0, kind="sealed")}))
    assert get(one, KEY).entries == (None,)


def test_an_entry_that_cannot_be_written_is_a_store_error_and_keeps_nothing(store):
    with pytest.raises(StoreError, match="cannot be stored"):
        run(
            sealed(store, NEW).put(
                "", {KEY: Entry(b"", 1.0), OTHER: Entry(b"", 1.0, model="\ud800")}
            )
        )
    assert run(store.scan()) == []


def test_random_values_in_the_store_are_misses(store):
    one = sealed(store, NEW)
    for size in (0, 12, 27, 28, 29, 100):
        run(store.put({Sealer(NEW).names(KEY)[0]: Entry(os.urandom(size), 1.0, kind="sealed")}))
        assert get(one, KEY).entries == (None,)
