"""Whole chains: what is called inside, its tags, and documents whose change ends all of it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import threading
from collections.abc import Iterator

import pytest
from openai import AsyncOpenAI, OpenAI

from askonce import Cache, NotCached, Policy
from askonce.errors import StoreError
from askonce.stores.memory import Memory


@pytest.fixture(params=["memory://", "sqlite", "sealed"])
def kept(request, url) -> Iterator[Cache]:
    secrets = os.urandom(32) if request.param == "sealed" else None
    address = "memory://" if request.param == "memory://" else url
    with Cache(address, strict=True, secrets=secrets) as made:
        yield made


@pytest.fixture
def client(upstream) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0) as made:
        yield made


def ask(client, text="What is RAG?"):
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(model="gpt-4o", messages=messages, temperature=0)


# Chains


def test_what_is_inside_a_chain_runs_only_on_a_miss_and_has_entries_of_its_own(
    kept, client, upstream
):
    kept.wrap(client)
    runs = []

    @kept
    def answer(question: str) -> str:
        runs.append(question)
        made = client.embeddings.create(model="text-embedding-3-small", input=[question])
        return f"{len(made.data)} {ask(client, question).id}"

    first = answer("q")
    assert answer("q") == first
    assert (runs, upstream.calls) == (["q"], 2)
    kept.forget(answer.key("q"))
    assert answer("q") == first
    assert (runs, upstream.calls) == (["q", "q"], 2)


def test_tags_used_inside_flow_up_to_every_chain_around(kept):
    runs = []

    @kept(tags=["doc:42"])
    def passage(number: int) -> int:
        runs.append("passage")
        return number

    @kept
    def middle(number: int) -> int:
        runs.append("middle")
        return passage(number)

    @kept
    def outer(number: int) -> int:
        runs.append("outer")
        return middle(number)

    outer(1)
    assert set(kept.last.tags) == {"doc:42"}
    outer(1)
    assert kept.last.kind == "hit"
    kept.invalidate(tag="doc:42")
    outer(1)
    assert runs == ["outer", "middle", "passage"] * 2


def test_tags_of_what_was_found_in_the_cache_flow_up_too(kept):
    @kept(tags=["doc:42"])
    def passage(number: int) -> int:
        return number

    @kept
    def outer(number: int) -> int:
        return passage(number)

    passage(1)
    outer(1)
    assert set(kept.last.tags) == {"doc:42"}
    kept.invalidate(tag="doc:42")
    outer(1)
    assert kept.last.kind == "miss"


def test_tags_of_a_block_without_any_call_flow_up(kept):
    runs = []

    @kept
    def outer(number: int) -> int:
        runs.append(number)
        with kept.using(tags=["doc:42"]):
            return number

    for _ in range(2):
        outer(1)
    kept.invalidate(tag="doc:42")
    outer(1)
    assert len(runs) == 2


def test_tags_of_clients_streams_and_batches_flow_up(kept, client):
    kept.wrap(client)

    @kept
    def outer(how: str) -> str:
        with kept.using(tags=[how]):
            if how == "batch":
                client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
            else:
                messages = [{"role": "user", "content": "hi"}]
                made = client.chat.completions.create(
                    model="gpt-4o", messages=messages, temperature=0, stream=how == "stream"
                )
                list(made)
        return how

    for how in ("whole", "stream", "batch"):
        for kind in ("miss", "hit"):
            outer(how)
            assert (kept.last.kind, set(kept.last.tags)) == (kind, {how})
        kept.invalidate(tag=how)
        outer(how)
        assert kept.last.kind == "miss"


def test_a_chain_of_tasks_and_generators_gathers_the_tags_of_all(kept):
    @kept
    async def passage(name: str) -> str:
        with kept.using(tags=[name]):
            return name

    @kept
    async def gathered(count: int) -> list[str]:
        return list(await asyncio.gather(*(passage(f"doc:{number}") for number in range(count))))

    @kept
    def told(count: int) -> Iterator[int]:
        for number in range(count):
            with kept.using(tags=[f"item:{number}"]):
                yield number

    @kept
    async def told_in_tasks(count: int):
        for number in range(count):
            await passage(f"doc:{number}")
            yield number

    async def main():
        await gathered(3)
        first = set(kept.last.tags)
        items = [item async for item in told_in_tasks(2)]
        again = [item async for item in told_in_tasks(2)]
        assert items == again == [0, 1]
        assert kept.last.kind == "hit"
        return first, set(kept.last.tags)

    assert asyncio.run(main()) == ({"doc:0", "doc:1", "doc:2"}, {"doc:0", "doc:1"})
    assert list(told(2)) == list(told(2)) == [0, 1]
    assert (kept.last.kind, set(kept.last.tags)) == ("hit", {"item:0", "item:1"})


def test_threads_that_have_the_chains_context_are_links_of_it(kept):
    @kept(tags=["doc:42"])
    def passage(number: int) -> int:
        return number

    @kept
    def outer(number: int) -> int:
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(passage, number))
        thread.start()
        thread.join()
        return number

    outer(1)
    assert set(kept.last.tags) == {"doc:42"}


def test_a_document_that_changes_while_its_chain_runs_leaves_nothing_alive(kept):
    runs = []

    @kept(tags=["doc:42"])
    def passage(number: int) -> int:
        return number

    @kept
    def outer(number: int) -> int:
        runs.append(number)
        passage(number)
        if len(runs) == 1:
            kept.invalidate(tag="doc:42")
        return len(runs)

    assert [outer(1), outer(1), outer(1)] == [1, 2, 2]


@pytest.mark.parametrize("preset", ["live", "creative", Policy(enabled=False)])
def test_a_chain_with_a_call_that_is_never_kept_is_not_kept_either(kept, preset):
    runs = []

    @kept(policy=preset)
    def price(name: str) -> int:
        return 7

    @kept
    def outer(name: str) -> int:
        runs.append(name)
        return price(name)

    for _ in range(2):
        outer("gold")
        assert (kept.last.kind, kept.last.reason.code) == ("miss", "chain")
    assert len(runs) == 2

    @kept(policy=Policy(effects=True))
    def allowed(name: str) -> int:
        return price(name)

    allowed("gold")
    allowed("gold")
    assert kept.last.kind == "hit"


def test_a_chain_with_a_call_that_has_effects_is_not_kept_either(kept, client):
    kept.wrap(client)

    @kept
    def outer(text: str) -> str:
        return client.responses.create(model="gpt-4o", input=text, previous_response_id="r").id

    outer("q")
    assert kept.last.reason.code == "chain"


def test_a_chain_with_a_stale_answer_inside_is_not_kept():
    now = [1.0]
    policy = Policy(ttl=10.0, stale_if_error=100.0)
    with Cache("memory://", clock=lambda: now[0], strict=True) as cache:

        @cache(policy=policy)
        def inner(text: str) -> str:
            if now[0] > 1:
                raise OSError
            return text

        @cache
        def outer(text: str) -> str:
            return inner(text)

        inner("q")
        now[0] = 20.0
        assert outer("q") == "q"
        assert cache.last.reason.advice == "a call inside was answered stale"


def test_a_sampled_call_inside_leaves_the_chain_to_its_author(kept, client):
    kept.wrap(client)

    @kept
    def outer(text: str) -> str:
        messages = [{"role": "user", "content": text}]
        return client.chat.completions.create(model="gpt-4o", messages=messages).id

    assert outer("q") == outer("q")
    assert kept.last.kind == "hit"


def test_the_generation_of_an_index_is_part_of_the_key_when_asked(kept):
    generation = [1]
    runs = []

    @kept(depends_on=lambda: generation[0])
    def answer(question: str) -> int:
        runs.append(question)
        return len(runs)

    @kept(depends_on="index 7")
    def fixed(question: str) -> str:
        return question

    assert [answer("q"), answer("q")] == [1, 1]
    generation[0] = 2
    assert [answer("q"), answer("q")] == [2, 2]
    generation[0] = 1
    assert answer("q") == 1
    assert fixed("q") == fixed("q") == "q"
    assert kept.last.kind == "hit"


def test_a_chain_whose_tags_cannot_be_known_is_not_served_again():
    class Deaf(Memory):
        deaf = False

        async def get(self, keys, tags=()):
            if self.deaf and tags:
                raise StoreError("not now")
            return await super().get(keys, tags)

    store = Deaf()
    runs = []
    with Cache(store) as cache:

        @cache
        def outer(number: int) -> int:
            runs.append(number)
            with cache.using(tags=["doc:42"]):
                return number

        store.deaf = True
        outer(1)
        store.deaf = False
        outer(1)
        outer(1)
    assert len(runs) == 2


# Documents


def uses(cache, runs, name="handbook.md"):
    """Return a function that answers from a document, and counts how often."""

    @cache
    def answer(question: str) -> int:
        runs.append(question)
        return len(runs)

    def use(content, question="q"):
        with cache.using(tags=[cache.document(name, content)]):
            return answer(question)

    return use


def test_a_changed_document_invalidates_by_itself_and_an_unchanged_one_does_nothing(kept):
    use = uses(kept, [])
    assert [use("one"), use("one"), use("two"), use("two"), use(b"two")] == [1, 1, 2, 2, 2]


def test_an_unchanged_document_writes_nothing():
    class Counted(Memory):
        renewed = 0

        async def invalidate(self, tag, version=None):
            self.renewed += 1
            await super().invalidate(tag, version)

    store = Counted()
    with Cache(store) as cache:
        for _ in range(10):
            cache.document("handbook.md", "one")
        assert store.renewed == 1
        cache.document("handbook.md", "two")
        assert store.renewed == 2


def test_a_deleted_document_ends_all_that_was_made_from_it_for_good(kept):
    runs = []
    use = uses(kept, runs)
    assert use("one") == 1
    kept.invalidate(tag="handbook.md")
    assert [use("one"), use("one")] == [2, 2]


def test_a_document_that_comes_back_brings_only_answers_of_that_content(kept):
    use = uses(kept, [])
    assert [use("one", "a"), use("two", "b"), use("one", "a"), use("two", "b")] == [1, 2, 1, 2]
    assert use("one", "b") == 3


def test_a_chain_ends_when_a_document_used_inside_changes(kept):
    runs = []
    contents = {"a.md": "one", "b.md": "one"}

    @kept
    def passage(name: str) -> str:
        runs.append(name)
        return contents[name]

    @kept
    def answer(question: str, names: list[str]) -> str:
        runs.append(question)
        found = []
        for name in names:
            with kept.using(tags=[kept.document(name, contents[name])]):
                found.append(passage(name))
        return " ".join(found)

    def load():
        for name, content in contents.items():
            kept.document(name, content)

    def ask_all():
        runs.clear()
        load()
        answer("of a", ["a.md"])
        answer("of both", ["a.md", "b.md"])
        return list(runs)

    assert ask_all() == ["of a", "a.md", "of both", "b.md"]
    assert ask_all() == []
    contents["b.md"] = "two"
    assert ask_all() == ["of both", "b.md"]
    assert ask_all() == []


def test_an_old_process_is_never_answered_from_a_new_content_nor_a_new_one_from_an_old(kept):
    runs = []

    @kept
    def answer(question: str) -> int:
        runs.append(question)
        return len(runs)

    def use(document):
        with kept.using(tags=[document]):
            return answer("q")

    old = kept.document("handbook.md", "one")
    assert use(old) == 1
    new = kept.document("handbook.md", "two")
    assert [use(new), use(new)] == [2, 2]
    # Whoever still has the old content computes, and what it computes is served to nobody.
    assert [use(old), use(old)] == [3, 4]
    assert use(kept.document("handbook.md", "two")) == 5


def test_a_document_that_changes_for_one_cache_changes_for_all_that_share_its_store(url):
    with Cache(url) as one, Cache(url) as other:
        first, second = uses(one, []), uses(other, [])
        first("one")
        second("one")
        assert other.last.kind == "hit"
        second("two")
        assert other.last.kind == "miss"
        first("two")
        assert one.last.kind == "hit"


def test_async_clients_are_tagged_by_documents_too(kept, upstream):
    async def main():
        async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k") as client:
            kept.wrap(client)
            ids = []
            for content in ("one", "one", "two"):
                with kept.using(tags=[kept.document("handbook.md", content)]):
                    ids.append((await ask(client)).id)
            return ids

    first, again, changed = asyncio.run(main())
    assert first == again != changed


# What must not get lost


def test_a_chain_of_two_contents_of_one_document_is_dead_for_good(kept, client):
    kept.wrap(client)
    contents = ["A", "B"]

    def used(content: str) -> str:
        with kept.using(tags=[kept.document("d", content)]):
            return ask(client, content).id

    @kept
    def chain(question: str) -> list[str]:
        return [used(contents[0]), used(contents[-1])]

    chain("q")
    kept.document("d", "B")
    kept.document("d", "A")
    contents[:] = ["A"]
    first, second = chain("q")
    assert first == second


def test_what_was_used_inside_is_not_hidden_by_the_chains_own_version(kept, client):
    kept.wrap(client)
    now = ["B"]

    @kept
    def chain(question: str) -> str:
        with kept.using(tags=[kept.document("d", now[0])]):
            return ask(client, now[0]).id

    with kept.using(tags=[kept.document("d", "A")]):
        of_b = chain("q")
    now[0] = "A"
    with kept.using(tags=[kept.document("d", "A")]):
        assert chain("q") != of_b


def test_calls_inside_that_are_not_for_the_cache_lend_their_tags_too(kept, client):
    kept.wrap(client, tags=["doc:42"])

    @kept
    def chain(question: str) -> str:
        messages = [{"role": "user", "content": question}]
        return client.chat.completions.create(model="gpt-4o", messages=messages).id

    first = chain("q")
    assert chain("q") == first
    kept.invalidate(tag="doc:42")
    assert chain("q") != first


def test_a_call_inside_that_was_not_made_lends_its_tags_too(kept, client):
    kept.wrap(client, tags=["doc:42"])
    runs = []

    @kept
    def chain(question: str) -> int:
        runs.append(question)
        with contextlib.suppress(NotCached), kept.using(only_if_cached=True):
            ask(client)
        kept.get(question=question)
        return len(runs)

    assert [chain("q"), chain("q")] == [1, 1]
    kept.invalidate(tag="doc:42")
    assert chain("q") == 2


def test_calls_of_another_cache_over_the_same_store_are_links_too(url):
    runs = []
    with Cache(url) as one, Cache(url) as other:

        @other(tags=["doc:42"])
        def passage(number: int) -> int:
            return number

        @one
        def chain(number: int) -> int:
            runs.append(number)
            return passage(number)

        chain(1)
        chain(1)
        other.invalidate(tag="doc:42")
        chain(1)
    assert len(runs) == 2


def test_who_follows_a_generator_live_has_the_tags_that_it_uses(kept):
    runs = []

    async def main():
        go, started = asyncio.Event(), asyncio.Event()

        @kept(tags=["doc:42"])
        async def passage(number: int) -> int:
            runs.append(number)
            return len(runs)

        @kept(version="1")
        async def items(number: int):
            value = await passage(number)
            yield value
            started.set()
            await go.wait()
            yield value

        async def lead():
            return [item async for item in items(1)]

        @kept(version="1")
        async def outer(number: int) -> list[int]:
            return [item async for item in items(1)]

        leading = asyncio.create_task(lead())
        await started.wait()
        following = asyncio.create_task(outer(7))
        for _ in range(20):
            await asyncio.sleep(0)
        go.set()
        first = await following
        await leading
        kept.invalidate(tag="doc:42")
        assert await outer(7) != first

    asyncio.run(main())


def test_a_chain_that_may_hold_effects_is_served_only_to_those_who_ask_for_that(kept, client):
    kept.wrap(client)

    @kept
    def chain(question: str) -> str:
        return client.responses.create(model="gpt-4o", input=question, conversation="c").id

    with kept.using(policy=Policy(effects=True)):
        first = chain("q")
        assert chain("q") == first
    assert chain("q") != first


def test_nobody_follows_a_generator_past_an_invalidation_of_what_it_used_inside(kept):
    texts = ["old"]

    async def main():
        go, started = asyncio.Event(), asyncio.Event()

        @kept(version="1")
        async def items(number: int):
            with kept.using(tags=["doc:42"]):
                text = texts[0]
            yield text
            started.set()
            await go.wait()
            yield f"{text}!"

        async def collected():
            return [item async for item in items(1)]

        leading = asyncio.create_task(collected())
        await started.wait()
        texts[0] = "new"
        kept.invalidate(tag="doc:42")
        later = asyncio.create_task(collected())
        for _ in range(20):
            await asyncio.sleep(0)
        go.set()
        return await leading, await later

    assert asyncio.run(main()) == (["old", "old!"], ["new", "new!"])
