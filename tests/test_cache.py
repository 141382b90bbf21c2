"""The cache as people hold it: get and put, ask, using, recording, hooks, control."""

from __future__ import annotations

import asyncio
import datetime
import functools
import http
import logging
import threading
import uuid
from collections import OrderedDict
from decimal import Decimal

import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

import askonce
from askonce import Ambiguous, Cache, ConfigError, Policy, StoreError
from askonce.stores.memory import Memory
from askonce.stores.sqlite import SQLite
from askonce.testing.fake_script import Reply

REQUEST = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What is RAG?"}]}


class City(BaseModel):
    name: str


@pytest.fixture
def client(upstream, cache, opened):
    return cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0)))


def test_the_public_names_are_sorted_and_all_there():
    assert askonce.__all__ == sorted(askonce.__all__)
    assert all(hasattr(askonce, name) for name in askonce.__all__)


def test_get_returns_what_put_kept(cache):
    assert cache.get(**REQUEST) is None
    assert cache.last.kind == "miss"
    for response in ("text", {"a": [1, None]}, ["x"], 0, False):
        cache.put(response, **REQUEST)
        assert cache.get(**REQUEST) == response
        assert cache.last.kind == "hit"
    assert cache.get(**{**REQUEST, "model": "other"}) is None
    assert cache.get(**dict(reversed(REQUEST.items()))) is False


def test_get_gives_an_sdk_object_back(cache, upstream, opened):
    client = opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k"))
    response = client.chat.completions.create(**REQUEST)
    cache.put(response, **REQUEST)
    found = cache.get(**REQUEST)
    assert type(found) is type(response)
    assert found.choices == response.choices
    assert found.usage == response.usage


@pytest.mark.parametrize("odd", [object(), float("nan"), [datetime.date.max], {1, 2}, {1: 2}])
def test_put_refuses_what_get_could_not_give_back(cache, odd):
    with pytest.raises(TypeError, match="put JSON"):
        cache.put(odd, **REQUEST)
    assert cache.get(**REQUEST) is None


def test_put_refuses_an_object_of_a_class_of_ones_own(cache, upstream):
    upstream.script = lambda request: Reply('{"name": "Rome"}')
    with OpenAI(base_url=f"{upstream.url}/v1", api_key="k") as client:
        parsed = client.chat.completions.parse(response_format=City, **REQUEST)
    with pytest.raises(TypeError, match="put JSON"):
        cache.put(parsed, **REQUEST)


@pytest.mark.parametrize(
    "odd",
    [
        object(), float("nan"), Decimal("1.5"), datetime.date.max, uuid.UUID(int=1), {"a"},
        http.HTTPStatus.OK, OrderedDict(a=1), {"deep": [{"list": (b"a",)}]},
    ],
    ids=lambda odd: type(odd).__name__,
)  # fmt: skip
def test_get_refuses_what_has_no_key(cache, odd):
    with pytest.raises(Ambiguous):
        cache.get(**REQUEST, thing=odd)


def test_get_and_put_obey_using(cache):
    with cache.using(tags=["doc:1"]):
        cache.put("one", **REQUEST)
        assert cache.get(**REQUEST) == "one"
        cache.invalidate(tag="doc:1")
        assert cache.get(**REQUEST) is None
    cache.put("two", **REQUEST)
    with cache.using(bypass=True):
        assert cache.get(**REQUEST) is None
    with cache.using(tenant="acme"):
        assert cache.get(**REQUEST) is None


def test_ask_is_one_line(cache, upstream, opened):
    client = opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k"))
    answer, from_cache = cache.ask("What is RAG?", model="gpt-4o", client=client)
    assert answer
    assert not from_cache
    assert cache.ask("What is RAG?", model="gpt-4o", client=client) == (answer, True)
    assert upstream.requests[0].json["temperature"] == 0
    cache.ask("What is RAG?", "gpt-5-mini", client=client)
    assert "temperature" not in upstream.requests[1].json


def test_ask_makes_its_own_client_from_the_environment(cache, upstream, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"{upstream.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", upstream.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    for model in ("gpt-4o", "claude-haiku-4-5", "claude-opus-5"):
        assert not cache.ask("What is RAG?", model).from_cache
        assert cache.ask("What is RAG?", model).from_cache
    assert upstream.calls == 3
    made = list(cache._asked._made.values())
    cache.close()
    assert [client.is_closed() for client in made] == [True, True]
    assert not cache.ask("What is RAG?", "gpt-4o").from_cache


def test_ask_through_an_async_client_is_awaited(cache, upstream):
    async def main():
        async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k") as client:
            first = await cache.ask("What is RAG?", "gpt-4o", client=client)
            return first, await cache.ask("What is RAG?", "gpt-4o", client=client)

    first, second = asyncio.run(main())
    assert not first.from_cache
    assert second == (first.text, True)


def test_a_recording_sees_calls_from_threads_and_tasks(cache, upstream, opened):
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")))

    def call():
        client.chat.completions.create(temperature=0, **REQUEST)

    async def main():
        await asyncio.gather(*(asyncio.to_thread(call) for _ in range(3)))

    with cache.recording() as calls:
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        asyncio.run(main())
    call()
    assert [outcome.kind for outcome in calls] == ["miss", "hit", "hit", "hit"]


def test_hooks_see_outcomes_and_cannot_break_a_call(cache, upstream, caplog, opened):
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")))
    seen = []
    cache.on("miss", seen.append)
    cache.on("hit", lambda outcome: 1 / 0)
    for _ in range(2):
        client.chat.completions.create(temperature=0, **REQUEST)
    assert [outcome.model for outcome in seen] == ["gpt-4o"]
    assert "a hook for 'hit' failed" in caplog.text
    with pytest.raises(ConfigError, match="use one of hit, miss"):
        cache.on("missed", seen.append)


def test_stats_count_calls_and_tokens(cache, upstream, opened):
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")))
    for temperature in (0, 0, 1):
        made = client.chat.completions.create(temperature=temperature, **REQUEST)
    stats = cache.stats()
    assert (stats.miss, stats.hit, stats.bypass, stats.calls) == (1, 1, 1, 3)
    assert stats.hit_rate == pytest.approx(1 / 3)
    assert stats.tokens_saved == made.usage.total_tokens


def test_forget_drops_all_inputs_of_a_batch(cache, client, upstream):
    create = functools.partial(client.embeddings.create, model="text-embedding-3-small")
    create(input=["a", "b", "a"])
    assert cache.last.key == ""
    assert len(cache.last.parts) == 2
    assert cache.forget(cache.last) == 2
    create(input=["a", "b"])
    assert upstream.calls == 2
    create(input=["a", "b"])
    assert cache.last.hit
    assert cache.forget(cache.last) == 2


def test_forget_drops_nothing_of_a_call_that_has_no_entry(cache, client):
    client.chat.completions.create(temperature=1, **REQUEST)
    assert cache.last.kind == "bypass"
    assert cache.forget(cache.last) == 0


@pytest.mark.parametrize("kind", ["miss", "hit"])
def test_a_change_to_an_outcome_changes_nothing_that_is_kept(cache, client, kind):
    with cache.using(tags=["doc:1"]):
        client.chat.completions.create(temperature=0, **REQUEST)
        if kind == "hit":
            client.chat.completions.create(temperature=0, **REQUEST)
        assert cache.last.kind == kind
        usage, tags = dict(cache.last.usage), dict(cache.last.tags)
        cache.last.usage.clear()
        cache.last.tags.clear()
        client.chat.completions.create(temperature=0, **REQUEST)
    assert (cache.last.kind, cache.last.usage, cache.last.tags) == ("hit", usage, tags)
    assert cache.last.usage["total"] > 0


def test_forget_takes_keys_and_outcomes(cache):
    cache.put("one", **REQUEST)
    cache.get(**REQUEST)
    assert cache.forget(cache.last) == 1
    assert cache.get(**REQUEST) is None
    assert cache.forget(cache.last.key) == 0
    with pytest.raises(ConfigError, match="40 hexadecimal digits"):
        cache.forget("xyz")


def test_entries_are_listed_in_order_of_their_keys(cache):
    for number in range(3):
        cache.put(number, number=number)
    found = [key for key, _ in cache.entries()]
    assert len(found) == 3
    assert found == sorted(found)


@pytest.mark.parametrize(
    ("make", "fix"),
    [
        (lambda: Cache("sqlite3:///x.db"), "sqlite"),
        (lambda: Cache("memory://", ttl="soon"), "24h"),
        (lambda: Cache("memory://", memory="lots"), "64MB"),
        (lambda: Cache("memory://", policy="fqa"), "did you mean 'faq'"),
        (lambda: Cache("memory://").using(tags="doc:1"), "tags=\\['doc:1'\\]"),
        (lambda: Cache("memory://").using(ttl=-1), "positive"),
    ],
)
def test_wrong_settings_are_refused_where_they_are_given(make, fix):
    with pytest.raises(ConfigError, match=fix):
        make()


def test_making_a_cache_touches_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("ASKONCE_URL", f"sqlite:///{tmp_path}/deep/answers.db")
    cache = Cache()
    assert not list(tmp_path.iterdir())
    cache.put("one", **REQUEST)
    assert (tmp_path / "deep" / "answers.db").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "deep").stat().st_mode & 0o777 == 0o700
    cache.close()
    assert cache.get(**REQUEST) == "one"


def test_the_default_is_sqlite_in_the_users_cache_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("ASKONCE_URL", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with Cache() as cache:
        cache.put("one", **REQUEST)
    assert (tmp_path / "askonce" / "answers.db").exists()


def test_a_failing_store_never_breaks_a_call(tmp_path, upstream, caplog, opened):
    (tmp_path / "file").write_text("in the way")
    with Cache(f"sqlite:///{tmp_path}/file/answers.db") as cache, caplog.at_level(logging.WARNING):
        client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")))
        for _ in range(3):
            assert client.chat.completions.create(temperature=0, **REQUEST).choices
        assert cache.last.kind == "hit"
        assert upstream.calls == 1
    assert len(caplog.records) == 1


class Blinking(Memory):
    """Fails when it is told to, in the words of whoever wrote it."""

    trouble: Exception | None = None

    async def get(self, keys, tags=()):
        self.fail()
        return await super().get(keys, tags)

    async def put(self, entries):
        self.fail()
        await super().put(entries)

    def fail(self):
        trouble, self.trouble = self.trouble, None
        if trouble is not None:
            raise trouble


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_whose_tags_could_not_be_looked_up_is_given_out_and_not_kept(
    upstream, stream, opened
):
    store = Blinking()
    cache = Cache(store)
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0)))

    class Down(Blinking):
        def fail(self):
            raise StoreError("down")

    with cache.using(tags=["doc"]):
        store.__class__ = Down
        made = client.chat.completions.create(temperature=0, stream=stream, **REQUEST)
        assert list(made)
        assert cache.last.reason.code == "store"
        store.__class__ = Blinking
        client.chat.completions.create(temperature=0, **REQUEST)
        assert cache.last.kind == "miss"


def test_what_is_put_while_its_tags_cannot_be_looked_up_is_not_kept():
    store = Blinking()
    cache = Cache(store)
    store.trouble = StoreError("blink")
    with cache.using(tags=["doc"]):
        cache.put("old", **REQUEST)
    assert cache.get(**REQUEST) is None


@pytest.mark.parametrize("trouble", [OSError("no disk"), ValueError("no sense")])
def test_a_store_that_raises_what_it_should_not_never_breaks_a_call(upstream, trouble, opened):
    store = Blinking()
    cache = Cache(store)
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0)))
    seen = []
    cache.on("trouble", seen.append)
    store.trouble = trouble
    assert client.chat.completions.create(temperature=0, **REQUEST).choices
    assert [str(error) for error in seen] == [f"{type(trouble).__name__}: {trouble}"]
    assert seen[0].__cause__ is trouble
    with Cache(store, strict=True) as strict:
        store.trouble = trouble
        with pytest.raises(type(trouble)):
            strict.get(**REQUEST)


def test_a_store_of_ones_own_stays_open_when_the_cache_is_closed():
    store = Memory()
    with Cache(store) as cache:
        cache.put("one", **REQUEST)
    assert cache.get(**REQUEST) == "one"
    assert Cache(store).get(**REQUEST) == "one"


def test_put_obeys_bypass(cache):
    with cache.using(bypass=True):
        cache.put("one", **REQUEST)
    with cache.using(policy=Policy(enabled=False)):
        cache.put("one", **REQUEST)
    assert cache.get(**REQUEST) is None


def test_an_inner_policy_says_how_long_too():
    now = [0.0]
    cache = Cache("memory://", clock=lambda: now[0])
    with cache.using(ttl="1h"), cache.using(policy=Policy(ttl=60.0)):
        cache.put("one", **REQUEST)
    with cache.using(policy=Policy(ttl=60.0)), cache.using(ttl="1h"):
        cache.put("two", question=2)
    now[0] = 61.0
    assert cache.get(**REQUEST) is None
    assert cache.get(question=2) == "two"


def test_a_strict_cache_raises_what_its_store_raises(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = SQLite(tmp_path / "file" / "answers.db")
    with Cache(store, strict=True) as cache, pytest.raises(StoreError):
        cache.put("one", **REQUEST)


def test_a_damaged_database_is_set_aside_and_a_new_one_begun(tmp_path, upstream, caplog):
    path = tmp_path / "answers.db"

    def call():
        with (
            Cache(f"sqlite:///{path}") as cache,
            cache.wrap(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")) as client,
        ):
            client.chat.completions.create(temperature=0, **REQUEST)
            return cache.last.kind

    assert call() == "miss"
    assert call() == "hit"
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    assert call() == "miss"
    assert call() == "hit"
    assert upstream.calls == 2
    assert len(list(tmp_path.glob("answers.db.damaged-*"))) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_policy_may_keep_sampled_answers(upstream, opened):
    with Cache("memory://", policy=Policy(sampled=True)) as cache:
        client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")))
        for _ in range(2):
            client.chat.completions.create(temperature=1, **REQUEST)
        assert cache.last.kind == "hit"
        with cache.using(policy=Policy()):
            client.chat.completions.create(temperature=1, **REQUEST)
            assert cache.last.kind == "bypass"
    assert upstream.calls == 2
