"""Random histories of a store, compared with a dict. Part of the store contract; needs hypothesis."""  # noqa: E501

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from askonce.model import Entry

if TYPE_CHECKING:
    from askonce.testing.store_contract import Caller

KEYS = st.sampled_from([bytes((n,)) * 20 for n in (0, 1, 2, 127, 128, 255)])
TAGS = st.sampled_from(["doc:1", "doc:2", "d\u00f6c"])
SOME_KEYS = st.lists(KEYS, max_size=4)
SOME_TAGS = st.lists(TAGS, max_size=3, unique=True)
VINTAGE = st.sampled_from(["current", "old", "unknown"])


def check_history(make: Callable[[], AbstractContextManager[Caller]]) -> None:  # noqa: C901
    """Try many short histories of stores that `make` makes."""

    class History(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.made = make()
            self.store = self.made.__enter__()
            self.entries: dict[bytes, Entry] = {}
            # A store of several places may have a version of a tag for each of them.
            self.current: dict[str, dict[bytes, bytes]] = {}
            self.old: dict[str, list[bytes]] = {}
            self.bodies = itertools.count()

        def alive(self, key: bytes) -> Entry | None:
            entry = self.entries.get(key)
            if entry and all(seen in self.versions(tag) for tag, seen in entry.tags.items()):
                return entry
            return None

        def versions(self, tag: str) -> list[bytes]:
            return list(self.current.get(tag, {}).values())

        def seen(self, tag: str, vintage: str) -> bytes:
            known = {"current": self.versions(tag), "old": self.old.get(tag, [])}
            return (known.get(vintage) or [b"never seen"])[-1]

        @rule(keys=SOME_KEYS, tags=SOME_TAGS)
        def get(self, keys: list[bytes], tags: list[str]) -> None:
            found = self.store.get(*keys, tags=tags)
            assert list(found.entries) == [self.alive(key) for key in keys]
            assert set(found.versions) == set(tags)
            place = keys[0] if keys else b""
            for tag, version in found.versions.items():
                assert version not in self.old.get(tag, [])
                assert self.current.setdefault(tag, {}).setdefault(place, version) == version

        @rule(keys=SOME_KEYS, tags=st.dictionaries(TAGS, VINTAGE, max_size=2))
        def put(self, keys: list[bytes], tags: dict[str, str]) -> None:
            versions = {tag: self.seen(tag, vintage) for tag, vintage in tags.items()}
            entries = {key: Entry(b"%d" % next(self.bodies), 1.0, tags=versions) for key in keys}
            self.store.put(entries)
            self.entries.update(entries)

        @rule(keys=SOME_KEYS)
        def forget(self, keys: list[bytes]) -> None:
            alive = {key for key in keys if self.alive(key)}
            there = {key for key in keys if key in self.entries}
            # Whether the dead are counted is the store's own affair.
            assert len(alive) <= self.store.forget(*keys) <= len(there)
            for key in there:
                del self.entries[key]

        @rule(tag=TAGS)
        def invalidate(self, tag: str) -> None:
            self.store.invalidate(tag)
            self.old.setdefault(tag, []).extend(self.versions(tag))
            self.current.pop(tag, None)

        @rule(after=KEYS | st.just(b""), limit=st.integers(1, 8))
        def scan(self, after: bytes, limit: int) -> None:
            behind = [(key, self.alive(key)) for key in sorted(self.entries) if key > after]
            expected = [(key, entry) for key, entry in behind if entry is not None]
            assert list(self.store.scan(after, limit)) == expected[:limit]

        def teardown(self) -> None:
            self.made.__exit__(None, None, None)

    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
