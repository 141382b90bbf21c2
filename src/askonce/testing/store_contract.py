"""What every store promises, as tests. A store of your own proves itself in four lines:

    class TestMyStore(StoreContract):
        def make_store(self, folder: Path) -> Store:
            return MyStore(folder / "entries")

Each promise is checked from a thread without a loop and from a task of a running one.
"""  # noqa: D400

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Collection, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import pytest

from askonce import blocking
from askonce.errors import StoreError
from askonce.model import Entry
from askonce.stores.contract import Found, Store

T = TypeVar("T")

FULL = Entry(
    body=b'{"choices": []}',
    created=1764000000.25,
    expires=1764086400.5,
    status=203,
    headers=(("content-type", "application/json"), ("x-request-id", "req_1")),
    streamed=True,
    dialect="openai.chat",
    model="gpt-4o",
    usage={"input": 19, "output": 10, "total": 29},
    unpinned=True,
)

KEYS = (
    bytes(20),
    b"\xff" * 20,
    bytes(range(20)),
    b"\x7f" + b"\xff" * 19,
    b"\x80" + bytes(19),
    b"a-key-that-is-text!!",
)

TAGS = ("doc:42", "", "tag with 'quotes' and \x00", "d\u00f6c \U0001f600", "x" * 1000)


class Finish(Protocol):
    """Finishes a coroutine and returns its value."""

    def __call__(self, work: Coroutine[Any, Any, T]) -> T: ...


class Caller:
    """A store's verbs as plain calls, in one colour."""

    def __init__(self, store: Store, finish: Finish) -> None:
        self.store = store
        self._finish = finish

    def get(self, *keys: bytes, tags: Collection[str] = ()) -> Found:
        return self._finish(self.store.get(keys, tags))

    def entry(self, key: bytes) -> Entry | None:
        return self.get(key).entries[0]

    def versions(self, *tags: str) -> dict[str, bytes]:
        return dict(self.get(tags=tags).versions)

    def put(self, entries: Mapping[bytes, Entry]) -> None:
        self._finish(self.store.put(entries))

    def forget(self, *keys: bytes) -> int:
        return self._finish(self.store.forget(keys))

    def invalidate(self, tag: str, version: bytes | None = None) -> None:
        self._finish(self.store.invalidate(tag, version))

    def scan(self, after: bytes = b"", limit: int = 500) -> Sequence[tuple[bytes, Entry]]:
        return self._finish(self.store.scan(after, limit))

    def close(self) -> None:
        self._finish(self.store.close())


def entry(body: bytes = b"body", **tags: bytes) -> Entry:
    """Make a small entry that carries these versions."""
    return Entry(body, created=1.0, tags=tags)


class StoreContract:
    """The promises. A subclass says how its store is made, and may name fewer colours."""

    colours: ClassVar[Sequence[str]] = ("blocking", "async")
    """"blocking" for a store whose verbs never wait for a loop; "async" for every store."""

    def make_store(self, folder: Path) -> Store:
        """Make an empty store, which may keep files in this empty folder. It holds 100 MB."""
        raise NotImplementedError

    @contextmanager
    def calling(self, colour: str, folder: Path) -> Iterator[Caller]:
        """Make a store, hand it out in a colour, and close it."""
        if colour == "blocking":
            caller = Caller(self.make_store(folder), blocking.run)
            yield caller
            caller.close()
        else:
            with asyncio.Runner() as loop:
                caller = Caller(self.make_store(folder), loop.run)  # type: ignore[arg-type]  # asyncio.run takes a context besides
                yield caller
                caller.close()

    @pytest.fixture(params=["blocking", "async"])
    def caller(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Caller]:
        """Hand out an empty store in each colour."""
        if request.param not in self.colours:
            pytest.skip(f"this store is not called in this colour: {request.param}")
        with self.calling(request.param, tmp_path) as caller:
            yield caller

    # Entries

    def test_an_entry_comes_back_whole(self, caller: Caller) -> None:
        version = caller.versions("doc:42")
        whole = Entry(
            **{name: getattr(FULL, name) for name in FULL.__struct_fields__} | {"tags": version}
        )
        caller.put({KEYS[0]: whole})
        assert caller.entry(KEYS[0]) == whole

    def test_values_and_aliases_come_back_as_such(self, caller: Caller) -> None:
        value = Entry(b"\x00\xff{", created=1.0, kind="value")
        alias = Entry(KEYS[0], created=2.0, kind="alias")
        caller.put({KEYS[0]: value, KEYS[1]: alias})
        assert caller.get(KEYS[1], KEYS[0]).entries == (alias, value)

    def test_what_comes_with_an_alias_is_what_its_key_has(self, caller: Caller) -> None:
        tagged = entry(b"tagged", **caller.versions("doc"))
        answers = {KEYS[0]: entry(b"plain"), KEYS[1]: tagged, KEYS[2]: entry(b"forgotten")}
        aliases = {
            alias: Entry(key, created=1.0, kind="alias")
            for alias, key in zip(KEYS[3:], KEYS, strict=False)
        }
        caller.put(answers | aliases)
        caller.invalidate("doc")
        caller.forget(KEYS[2])
        targets = caller.get(*aliases).targets
        assert {key: caller.entry(key) for key in targets} == targets

    def test_what_was_never_put_is_absent(self, caller: Caller) -> None:
        assert caller.get(*KEYS).entries == (None,) * len(KEYS)

    def test_several_keys_are_answered_in_the_order_asked(self, caller: Caller) -> None:
        caller.put({KEYS[0]: entry(b"0"), KEYS[2]: entry(b"2")})
        found = caller.get(KEYS[2], KEYS[1], KEYS[0], KEYS[2]).entries
        assert [it and it.body for it in found] == [b"2", None, b"0", b"2"]

    def test_no_keys_and_no_tags_find_nothing(self, caller: Caller) -> None:
        found = caller.get()
        assert (found.entries, dict(found.versions)) == ((), {})

    def test_putting_again_replaces(self, caller: Caller) -> None:
        caller.put({KEYS[0]: entry(b"old"), KEYS[1]: entry(b"other")})
        caller.put({KEYS[0]: entry(b"new")})
        found = caller.get(KEYS[0], KEYS[1]).entries
        assert [it and it.body for it in found] == [b"new", b"other"]

    def test_putting_nothing_is_allowed(self, caller: Caller) -> None:
        caller.put({})
        assert caller.scan() == []

    @pytest.mark.parametrize("size", [0, 1, 4095, 4096, 70_000, 3_000_000])
    def test_bodies_of_any_size_come_back(self, caller: Caller, size: int) -> None:
        kept = entry(bytes(range(256)) * (size // 256) + bytes(size % 256))
        caller.put({KEYS[0]: kept})
        assert caller.entry(KEYS[0]) == kept

    def test_odd_keys_are_kept_apart(self, caller: Caller) -> None:
        caller.put({key: entry(key) for key in KEYS})
        assert [it and it.body for it in caller.get(*KEYS).entries] == list(KEYS)

    def test_keys_that_begin_alike_never_answer_for_one_another(self, caller: Caller) -> None:
        alike = [b"\x11" * same + bytes(20 - same) for same in range(20)]
        for key in alike:
            caller.put({key: entry(key)})
        for key, found in zip(alike, caller.get(*alike).entries, strict=True):
            assert found is None or found.body == key
        assert caller.entry(alike[-1]) == entry(alike[-1])

    def test_an_expired_entry_is_not_the_stores_affair(self, caller: Caller) -> None:
        stale = Entry(b"stale", created=1.0, expires=2.0, grace=3600.0)
        caller.put({KEYS[0]: stale})
        assert caller.entry(KEYS[0]) == stale

    # Forgetting

    def test_forgetting_drops_and_counts(self, caller: Caller) -> None:
        caller.put({KEYS[0]: entry(b"0"), KEYS[1]: entry(b"1"), KEYS[2]: entry(b"2")})
        assert caller.forget(KEYS[0], KEYS[2], KEYS[3], KEYS[0]) == 2
        found = caller.get(*KEYS[:3]).entries
        assert [it and it.body for it in found] == [None, b"1", None]
        assert caller.forget(KEYS[0]) == 0

    def test_forgetting_nothing_is_allowed(self, caller: Caller) -> None:
        caller.put({KEYS[0]: entry()})
        assert caller.forget() == 0
        assert caller.entry(KEYS[0]) == entry()

    def test_what_was_forgotten_can_be_kept_again(self, caller: Caller) -> None:
        caller.put({KEYS[0]: entry(b"old")})
        caller.forget(KEYS[0])
        caller.put({KEYS[0]: entry(b"new")})
        assert caller.entry(KEYS[0]) == entry(b"new")

    # Tags

    def test_a_version_is_made_at_first_use_and_stays(self, caller: Caller) -> None:
        first = caller.versions("doc:42")["doc:42"]
        assert first
        assert caller.get(KEYS[0], tags=("doc:42", "doc:43")).versions["doc:42"] == first

    def test_versions_are_told_for_the_tags_asked_and_no_others(self, caller: Caller) -> None:
        caller.put({KEYS[0]: Entry(b"", 1.0, tags=caller.versions("mine"))})
        assert set(caller.get(KEYS[0], tags=("doc:42", "doc:43")).versions) == {"doc:42", "doc:43"}
        assert dict(caller.get(KEYS[0]).versions) == {}

    def test_no_two_tags_have_one_version(self, caller: Caller) -> None:
        found = caller.versions(*TAGS)
        assert set(found) == set(TAGS)
        assert len(set(found.values())) == len(TAGS)

    def test_an_entry_with_current_versions_is_alive(self, caller: Caller) -> None:
        kept = Entry(b"", 1.0, tags=caller.versions(*TAGS))
        caller.put({KEYS[0]: kept})
        assert caller.entry(KEYS[0]) == kept

    def test_an_entry_with_a_tag_nobody_knows_is_dead(self, caller: Caller) -> None:
        caller.put({KEYS[0]: entry(unknown=bytes(16)), KEYS[1]: entry(unknown=b"")})
        assert caller.get(KEYS[0], KEYS[1]).entries == (None, None)
        caller.versions("unknown")
        assert caller.get(KEYS[0], KEYS[1]).entries == (None, None)

    @pytest.mark.parametrize("tag", TAGS)
    def test_invalidating_kills_what_carries_the_tag(self, caller: Caller, tag: str) -> None:
        versions = caller.versions(tag, "other")
        both = Entry(b"both", 1.0, tags=versions)
        other = entry(b"other", other=versions["other"])
        caller.put({KEYS[0]: both, KEYS[1]: other, KEYS[2]: entry(b"none")})
        caller.invalidate(tag)
        assert caller.get(*KEYS[:3]).entries == (None, other, entry(b"none"))

    def test_a_version_never_comes_back(self, caller: Caller) -> None:
        seen = set()
        for _ in range(5):
            version = caller.versions("doc:42")
            seen.add(version["doc:42"])
            caller.put({KEYS[0]: Entry(b"", 1.0, tags=version)})
            caller.invalidate("doc:42")
            assert caller.entry(KEYS[0]) is None
        assert len(seen) == 5

    def test_invalidating_an_unknown_tag_is_allowed(self, caller: Caller) -> None:
        caller.put({KEYS[0]: entry()})
        caller.invalidate("unknown")
        assert caller.entry(KEYS[0]) == entry()

    def test_an_answer_in_flight_while_its_tag_is_invalidated_is_dead(self, caller: Caller) -> None:
        before = caller.get(KEYS[0], tags=("doc:42",)).versions
        caller.invalidate("doc:42")
        caller.put({KEYS[0]: Entry(b"late", 1.0, tags=before)})
        assert caller.entry(KEYS[0]) is None
        after = caller.versions("doc:42")
        assert caller.entry(KEYS[0]) is None
        caller.put({KEYS[0]: Entry(b"new", 1.0, tags=after)})
        assert caller.entry(KEYS[0]) == Entry(b"new", 1.0, tags=after)

    def test_a_version_may_be_given_and_lets_live_what_carries_it(self, caller: Caller) -> None:
        first, second = bytes(range(16)), bytes(range(16, 32))
        made: dict[bytes, Entry] = {}
        for key, given in ((KEYS[0], first), (KEYS[1], second)):
            caller.invalidate("document", given)
            versions = caller.get(key, tags=("document",)).versions
            assert versions["document"].endswith(given)
            made[key] = Entry(given, 1.0, tags=versions)
            caller.put({key: made[key]})
        assert caller.get(KEYS[0], KEYS[1]).entries == (None, made[KEYS[1]])
        caller.invalidate("document", first)
        assert caller.get(KEYS[0], KEYS[1]).entries == (made[KEYS[0]], None)
        caller.invalidate("document")
        assert caller.get(KEYS[0], KEYS[1]).entries == (None, None)

    # Listing

    def test_scanning_lists_entries_in_the_order_of_their_keys(self, caller: Caller) -> None:
        caller.put({key: entry(key) for key in reversed(KEYS)})
        assert list(caller.scan()) == [(key, entry(key)) for key in sorted(KEYS)]

    @pytest.mark.parametrize("limit", [1, 3, 7, 50])
    def test_pages_of_a_scan_neither_skip_nor_repeat(self, caller: Caller, limit: int) -> None:
        keys = sorted(bytes((n * 37 % 256,)) * 20 for n in range(20))
        caller.put({key: entry(key) for key in keys})
        seen: list[bytes] = []
        while page := caller.scan(seen[-1] if seen else b"", limit):
            assert len(page) <= limit
            seen += [key for key, _ in page]
        assert seen == keys

    def test_a_scan_passes_over_the_dead(self, caller: Caller) -> None:
        version = caller.versions("doc:42")["doc:42"]
        dead = [bytes((n,)) * 20 for n in range(1, 40)]
        caller.put({key: entry(key, **{"doc:42": version}) for key in dead})
        caller.put({KEYS[1]: entry(b"last")})
        caller.invalidate("doc:42")
        assert list(caller.scan(limit=5)) == [(KEYS[1], entry(b"last"))]

    def test_a_scan_behind_the_last_key_is_empty(self, caller: Caller) -> None:
        caller.put({KEYS[0]: entry(), KEYS[1]: entry()})
        assert list(caller.scan(KEYS[1])) == []
        assert [key for key, _ in caller.scan(KEYS[0])] == [KEYS[1]]

    # Closing, and many at once

    def test_closing_twice_is_allowed(self, caller: Caller) -> None:
        caller.put({KEYS[0]: entry()})
        caller.close()
        caller.close()

    @pytest.mark.parametrize("used", [True, False], ids=["used", "unused"])
    def test_a_closed_store_refuses_every_verb(self, caller: Caller, used: bool) -> None:
        if used:
            caller.put({KEYS[0]: entry()})
        caller.close()
        for verb in (
            lambda: caller.get(KEYS[0]),
            lambda: caller.get(tags=("doc:42",)),
            lambda: caller.put({KEYS[0]: entry()}),
            lambda: caller.forget(KEYS[0]),
            lambda: caller.invalidate("doc:42"),
            lambda: caller.scan(),  # noqa: PLW0108
        ):
            with pytest.raises(StoreError):
                verb()

    def test_threads_share_a_store(self, tmp_path: Path) -> None:
        if "blocking" not in self.colours:
            pytest.skip("this store belongs to its loop")
        keys = [bytes((n,)) * 20 for n in range(8)]

        def work(caller: Caller, mine: int) -> None:
            for turn in range(25):
                body = keys[mine] + bytes((turn,))
                caller.put({keys[mine]: entry(body), KEYS[-1]: entry(body)})
                assert caller.entry(keys[mine]) == entry(body)
                shared = caller.entry(KEYS[-1])
                assert shared is not None
                assert shared.body[:20] in keys

        with self.calling("blocking", tmp_path) as caller, ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(work, caller, n) for n in range(8)]:
                done.result()

    @pytest.mark.parametrize("colour", ["blocking", "async"])
    def test_any_history_is_told_as_a_dict_tells_it(self, colour: str) -> None:
        from askonce.testing.store_history import check_history

        if colour not in self.colours:
            pytest.skip(f"this store is not called in this colour: {colour}")

        @contextmanager
        def make() -> Iterator[Caller]:
            with tempfile.TemporaryDirectory() as folder:  # noqa: SIM117
                with self.calling(colour, Path(folder)) as caller:
                    yield caller

        check_history(make)
