"""Documents while the store is away: what has changed is not served, whatever the store holds."""

from __future__ import annotations

import os

import pytest

from askonce import Cache, StoreError
from askonce.stores.memory import Memory


class Unsteady(Memory):
    """A store that takes no invalidation while it is down."""

    down = False

    async def invalidate(self, tag, version=None):
        if self.down:
            raise StoreError("not now")
        await super().invalidate(tag, version)


@pytest.mark.parametrize("secrets", [None, os.urandom(32)], ids=["open", "sealed"])
def test_a_change_that_the_store_could_not_be_told_of_counts_here_all_the_same(secrets):
    store, files = Unsteady(), {"a.md": "one", "b.md": "one"}
    cache = Cache(store, secrets=secrets)

    @cache
    def passage(name: str) -> str:
        with cache.using(tags=[cache.document(name, files[name])]):
            return files[name]

    @cache
    def chain(name: str) -> str:
        return passage(name)

    assert [chain("a.md"), chain("b.md")] == ["one", "one"]
    files["a.md"], store.down = "two", True
    cache.document("a.md", files["a.md"])
    store.down = False
    # Nothing declares it again before this call: a chain asks for no tags.
    assert chain("a.md") == "two"
    assert chain("b.md") == "one"
    assert cache.last.kind == "hit"
    # Inside, it was declared once more.
    assert chain("a.md") == "two"
    assert cache.last.kind == "hit"


def test_a_document_whose_version_the_store_has_lost_is_kept_again_once_it_is_declared():
    store, runs = Memory(), []
    cache = Cache(store)

    @cache
    def answer(question: str) -> int:
        runs.append(question)
        return len(runs)

    def use(document):
        with cache.using(tags=[document]):
            return answer("q")

    document = cache.document("a.md", "one")
    assert [use(document), use(document)] == [1, 1]
    store._versions.clear()
    assert [use(document), use(document)] == [2, 3]
    document = cache.document("a.md", "one")
    assert use(document) == use(document)
    assert cache.last.kind == "hit"
