from __future__ import annotations

import logging

import pytest

from askonce.blocking import run
from askonce.errors import StoreError
from askonce.model import Entry
from askonce.stores.breaker import Refused
from askonce.stores.contract import Health
from askonce.stores.memory import Memory
from askonce.stores.sqlite import SQLite
from askonce.stores.tiered import Tiered

KEY, OTHER = bytes(range(20)), bytes(range(1, 21))
ENTRY = Entry(b"an answer", created=1.0)


class Clock:
    """A time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Shaky(Memory):
    """A far store that counts how often it is asked, and fails while it is down."""

    blocking = True
    leases = "leases"

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.asked = 0

    def _answer(self) -> None:
        self.asked += 1
        if self.down:
            raise StoreError("the far store is down")

    async def get(self, keys, tags=()):
        self._answer()
        return await super().get(keys, tags)

    async def put(self, entries):
        self._answer()
        await super().put(entries)

    async def forget(self, keys):
        self._answer()
        return await super().forget(keys)

    async def invalidate(self, tag, version=None):
        self._answer()
        await super().invalidate(tag, version)

    async def scan(self, after=b"", limit=500):
        self._answer()
        return await super().scan(after, limit)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def far():
    return Shaky()


@pytest.fixture
def store(far, clock):
    return Tiered(Memory(), far, clock)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.db"


def get(store, key=KEY):
    return run(store.get((key,))).entries[0]


def tagged(store, body: bytes = b"tagged") -> Entry:
    return Entry(body, created=1.0, tags=run(store.get((), ("doc:42",))).versions)


def test_what_far_says_of_itself_is_said_of_both(store):
    assert store.blocking
    assert store.leases == "leases"


def test_a_hit_without_tags_asks_far_once_and_never_again(store, far):
    run(far.put({KEY: ENTRY}))
    far.asked = 0
    assert [get(store) for _ in range(5)] == [ENTRY] * 5
    assert far.asked == 1


def test_what_was_put_here_is_served_without_far(store, far):
    run(store.put({KEY: ENTRY}))
    assert run(far.get((KEY,))).entries == (ENTRY,)
    far.asked = 0
    assert get(store) == ENTRY
    assert far.asked == 0


def test_a_get_of_many_keys_and_tags_asks_far_once(store, far):
    entry = tagged(store)
    run(store.put({KEY: entry}))
    run(far.put({OTHER: ENTRY}))
    far.asked = 0
    found = run(store.get((KEY, OTHER, bytes(20)), ("doc:42", "doc:43")))
    assert found.entries == (entry, ENTRY, None)
    assert set(found.versions) == {"doc:42", "doc:43"}
    assert far.asked == 1


def test_an_entry_with_tags_is_asked_of_far_each_time(store, far):
    entry = tagged(store)
    run(store.put({KEY: entry, OTHER: ENTRY}))
    assert get(store) == entry
    run(far.invalidate("doc:42"))
    assert run(store.get((KEY, OTHER))).entries == (None, ENTRY)
    renewed = tagged(far, b"new")
    run(far.put({KEY: renewed}))
    assert get(store) == renewed


def test_an_entry_that_comes_with_tags_replaces_the_one_without(store, far):
    run(store.put({KEY: ENTRY}))
    entry = tagged(store)
    run(store.put({KEY: entry}))
    assert get(store) == entry
    run(far.invalidate("doc:42"))
    assert get(store) is None


def test_what_far_tells_of_is_gone_at_once(clock):
    class Telling(Shaky):
        def watch(self, forgotten):
            self.forgotten = forgotten

    far = Telling()
    store = Tiered(Memory(), far, clock)
    run(store.put({KEY: ENTRY, OTHER: ENTRY}))
    run(far.forget((KEY, OTHER)))
    far.forgotten((KEY,))
    assert run(store.get((KEY, OTHER))).entries == (None, ENTRY)
    far.forgotten(None)
    assert get(store, OTHER) is None


def test_what_another_process_forgets_is_gone_within_a_second(path, clock):
    here, there = (Tiered(Memory(), SQLite(path), clock) for _ in range(2))
    run(here.put({KEY: ENTRY, OTHER: ENTRY}))
    assert get(there) == ENTRY
    assert run(here.forget((KEY,))) == 1
    assert get(here) is None
    clock.now += 1.0
    assert get(there) is None
    assert get(there, OTHER) == ENTRY
    for store in (here, there):
        run(store.close())


def test_what_another_process_forgets_after_it_was_only_put_here_is_gone_too(path, clock):
    here, there = (Tiered(Memory(), SQLite(path), clock) for _ in range(2))
    run(here.put({KEY: ENTRY}))
    run(there.forget((KEY,)))
    clock.now += 1.0
    assert get(here) is None
    for store in (here, there):
        run(store.close())


def test_what_is_fetched_while_it_is_forgotten_does_not_come_back(far, clock):
    class Slow(Shaky):
        async def get(self, keys, tags=()):
            found = await super().get(keys, tags)
            if keys and self.meanwhile:
                self.meanwhile = False
                await store.forget(keys)
            return found

    slow = Slow()
    slow.meanwhile = False
    store = Tiered(Memory(), slow, clock)
    run(slow.put({KEY: ENTRY}))
    slow.meanwhile = True
    assert get(store) == ENTRY  # it was still there when it was read
    assert get(store) is None


def test_what_is_fetched_while_it_is_replaced_does_not_replace_it(far, clock):
    newer = Entry(b"newer", created=2.0)

    class Slow(Shaky):
        async def get(self, keys, tags=()):
            found = await super().get(keys, tags)
            if found.entries == (ENTRY,):
                await store.put({KEY: newer})
            return found

    slow = Slow()
    store = Tiered(Memory(), slow, clock)
    run(slow.put({KEY: ENTRY}))
    assert get(store) == ENTRY
    assert get(store) == newer


# When far fails


def test_while_far_is_down_memory_serves_what_has_no_tags(store, far):
    run(store.put({KEY: ENTRY, OTHER: tagged(store)}))
    far.down = True
    assert run(store.get((KEY, OTHER, bytes(20)))).entries == (ENTRY, None, None)
    far.asked = 0
    assert [get(store) for _ in range(5)] == [ENTRY] * 5
    assert far.asked == 0


def test_while_far_is_down_nobody_can_be_told_a_version(store, far):
    far.down = True
    for _ in range(2):
        with pytest.raises(StoreError):
            run(store.get((KEY,), ("doc:42",)))


def test_a_far_store_that_fails_is_tried_again_once_a_second(store, far, clock):
    far.down = True
    assert get(store) is None
    far.asked = 0
    for _ in range(10):
        assert get(store) is None
    assert far.asked == 0
    clock.now += 1.0
    for _ in range(10):
        assert get(store) is None
    assert far.asked == 1
    far.down = False
    run(far.put({KEY: ENTRY}))
    clock.now += 1.0
    assert get(store) == ENTRY
    far.asked = 0
    for number in range(10):
        get(store, bytes((number,)) * 20)
    assert far.asked == 10


def test_a_put_that_far_refuses_is_kept_in_memory_and_reported_once(store, far, clock):
    far.down = True
    with pytest.raises(StoreError, match="the far store is down"):
        run(store.put({KEY: ENTRY}))
    run(store.put({OTHER: ENTRY}))
    assert run(store.get((KEY, OTHER))).entries == (ENTRY, ENTRY)
    clock.now += 1.0
    with pytest.raises(StoreError, match="the far store is down"):
        run(store.put({KEY: ENTRY}))


def test_forgetting_and_invalidating_never_fail_in_silence(store, far):
    run(store.put({KEY: ENTRY}))
    far.down = True
    for _ in range(2):
        with pytest.raises(StoreError):
            run(store.forget((KEY,)))
        with pytest.raises(StoreError):
            run(store.invalidate("doc:42"))
        with pytest.raises(StoreError):
            run(store.scan())
    assert get(store) is None


def test_a_far_store_that_goes_down_and_up_is_warned_of_once_a_minute(store, far, clock, caplog):
    for _ in range(30):
        far.down = not far.down
        get(store)
        clock.now += 1.0
    assert [it.levelname for it in caplog.records] == ["WARNING"]
    assert "the far store is down" in caplog.text
    far.down = True
    clock.now += 60.0
    get(store)
    assert len(caplog.records) == 2


def test_a_far_store_that_can_never_work_leaves_memory_alone_after_one_warning(tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    store = Tiered(Memory(), SQLite(tmp_path / "file" / "answers.db"))
    entry = tagged(store)
    run(store.put({KEY: entry, OTHER: ENTRY}))
    assert run(store.get((KEY, OTHER))).entries == (entry, ENTRY)
    run(store.invalidate("doc:42"))
    assert run(store.get((KEY, OTHER))).entries == (None, ENTRY)
    assert [key for key, _ in run(store.scan())] == [OTHER]
    assert run(store.forget((OTHER,))) == 1
    assert store.health == Health("alone", 0)
    assert [it.levelname for it in caplog.records] == ["WARNING"]
    assert "kept in memory only" in caplog.text
    run(store.close())


def test_a_far_store_that_has_worked_is_not_given_up(path, clock, caplog):
    """Its folder may be back in a moment."""
    caplog.set_level(logging.CRITICAL)
    far = SQLite(path)
    store = Tiered(Memory(), far, clock)
    run(store.put({KEY: ENTRY}))
    run(far.close())
    folder = path.parent.rename(path.parent.with_name("moved"))
    path.parent.write_text("in the way")
    store._far = SQLite(path)
    assert get(store, OTHER) is None
    path.parent.unlink()
    folder.rename(path.parent)
    clock.now += 1.0
    run(store.put({OTHER: ENTRY}))
    assert run(store._far.get((KEY, OTHER))).entries == (ENTRY, ENTRY)
    run(store.close())


# How far does


class Full(Shaky):
    """A far store that can be read, and takes nothing while it is down."""

    async def get(self, keys, tags=()):
        return await Memory.get(self, keys, tags)

    def _answer(self) -> None:
        self.asked += 1
        if self.down:
            raise Refused("the far store is full")


def test_a_far_store_that_takes_nothing_is_read_all_the_same(clock, caplog):
    far = Full()
    store = Tiered(Memory(), far, clock)
    run(far.put({OTHER: ENTRY}))
    far.down = True
    with pytest.raises(StoreError):
        run(store.put({KEY: ENTRY}))
    assert run(store.get((KEY, OTHER))).entries == (ENTRY, ENTRY)
    assert store.health == Health("refusing", 1)
    far.asked = 0
    for _ in range(5):
        run(store.put({KEY: ENTRY}))
    assert far.asked == 0
    far.down = False
    clock.now += 1.0
    run(store.put({KEY: ENTRY}))
    assert (far.asked, store.health) == (1, Health("working", 1))
    assert [it.levelname for it in caplog.records] == ["WARNING"]


def test_health_says_how_far_does_and_how_often_it_began_to_fail(store, far, clock):
    assert store.health == Health("working", 0)
    for turn in range(1, 4):
        far.down = True
        for _ in range(3):
            get(store)
            clock.now += 1.0
        assert store.health == Health("failing", turn)
        far.down = False
        get(store)
        assert store.health == Health("working", turn)


def test_a_slow_answer_from_before_a_failure_does_not_end_it(store, far):
    class Slow:
        def __await__(self):
            yield

    async def slow(keys, tags=()):
        await Slow()
        return await Memory.get(far, keys, tags)

    far.get = slow
    early = store.get((KEY,))
    early.send(None)  # it waits for its answer
    far.get = Shaky.get.__get__(far)
    far.down = True
    assert get(store, OTHER) is None
    with pytest.raises(StopIteration):
        early.send(None)
    assert store.health.state == "failing"


def test_a_put_may_be_the_one_that_finds_far_working_again(store, far, clock):
    far.down = True
    get(store)
    far.down = False
    clock.now += 1.0
    run(store.put({KEY: ENTRY}))
    assert run(far.get((KEY,))).entries == (ENTRY,)
    assert store.health.state == "working"


def test_what_near_cannot_keep_while_far_rests_is_not_said_to_be_kept(store, far):
    entry = tagged(store)
    far.down = True
    get(store)
    run(store.put({KEY: ENTRY}))
    with pytest.raises(StoreError):
        run(store.put({OTHER: entry}))


def test_a_strict_store_hides_no_failure(far, clock, tmp_path):
    store = Tiered(Memory(), far, clock, strict=True)
    run(store.put({KEY: ENTRY}))
    far.down = True
    assert get(store) == ENTRY  # it needs nothing of far
    for _ in range(2):
        with pytest.raises(StoreError):
            get(store, bytes(20))
        with pytest.raises(StoreError):
            run(store.put({OTHER: ENTRY}))
    (tmp_path / "file").write_text("not a folder")
    nowhere = Tiered(Memory(), SQLite(tmp_path / "file" / "answers.db"), strict=True)
    for _ in range(2):
        with pytest.raises(StoreError):
            get(nowhere)
    run(nowhere.close())


def test_in_a_forked_child_nobody_waits_for_the_looks_of_its_parent(store):
    store._fetches._under_way[KEY] = None
    store._fetches.after_fork(child=False)
    assert KEY in store._fetches._under_way
    store._fetches.after_fork(child=True)
    assert get(store) is None
