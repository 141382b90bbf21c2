"""A cache with secrets, whole: nothing to read in the store, and everything works as without."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import httpx2
import pytest
import redis
from openai import APIConnectionError, AsyncOpenAI, OpenAI

from askonce import Cache, Policy
from askonce.blocking import run
from askonce.cli import main
from askonce.errors import ConfigError, UpstreamLost
from askonce.model import Response
from askonce.policy import Options
from askonce.redis.feeds import Frames, StreamFeed, place
from askonce.sealing import Sealer
from askonce.tape import Tape
from askonce.testing.fake_script import Reply
from askonce.testing.proxies import CuttingProxy

SECRET, OTHER = "Zm9yIHRlc3RzIG9ubHkuIE5vdCBhIHNlY3JldC4hISE=", b"\xff" * 32
PROMPT = "How do the Brobdingnagians photosynthesise?"
ANSWER = "Wholeheartedly, with chlorophyllous mustaches."
TAG, TENANT = "doc:lilliput", "tenant-yahoo"
QUESTION = {
    "model": "gpt-4o-houyhnhnm",
    "temperature": 0,
    "messages": [{"role": "user", "content": PROMPT}],
}
VALUE = {"laputa": "an island that flies"}

KEPT = ("Wholeheartedly,", "chlorophyllous", "mustaches.", "gpt-4o-houyhnhnm", TAG, "island that")
"""What a store without secrets shows. A stream is told in words."""

NEVER = (*KEPT, PROMPT, "Brobdingnagians", "photosynthesise", TENANT, "openai.chat", SECRET)


@pytest.fixture(params=["sqlite", "valkey"])
def kept_at(request, tmp_path):
    """A store of this test's own: its URL, and a look at every byte that it holds."""
    if request.param == "sqlite":
        folder = tmp_path / "store"
        folder.mkdir()
        return f"sqlite:///{folder}/answers.db", lambda: bytes_of_files(folder)
    server = request.getfixturevalue("valkey")
    namespace = uuid.uuid4().hex
    url = f"{server.url}?namespace={namespace}&timeout=5&connect_timeout=5"
    return url, lambda: bytes_of_server(server, namespace)


def bytes_of_files(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(folder.iterdir()))


def bytes_of_server(server, namespace) -> bytes:
    """Every name and every value of a namespace."""
    found = []
    with redis.Redis.from_url(server.url) as client:
        for name in client.scan_iter(match=f"{namespace}:*"):
            kind = client.type(name)
            found.append(name)
            if kind == b"string":
                found.append(client.get(name) or b"")
            elif kind == b"hash":
                found += chain(*client.hgetall(name).items())
            else:
                assert kind == b"stream"
                found += chain(*(chain(*entry[1].items()) for entry in client.xrange(name)))
    return b"\n".join(found)


@pytest.fixture
def wrapped(upstream):
    """Make a cache of its own and a client of it: another program, as far as anybody can tell."""
    made = []
    upstream.script = lambda _: Reply(text=ANSWER)

    def make(url, secrets=SECRET, **options):
        cache = Cache(url, secrets=secrets, **options)
        client = cache.wrap(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0))
        made.append((cache, client))
        return cache, client

    yield make
    for cache, client in made:
        client.close()
        cache.close()


def text_of(answer) -> str:
    if hasattr(answer, "choices"):
        return answer.choices[0].message.content
    return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)


def use_all_of_it(cache, client, upstream):
    """Fill a store with everything that the surfaces keep, and say what of it must not be seen."""

    @cache(tags=[TAG])
    def travels(name):
        return {**VALUE, "name": name}

    calls = upstream.calls
    keys = []
    with cache.using(tags=[TAG], tenant=TENANT):
        for _ in range(2):
            assert text_of(client.chat.completions.create(**QUESTION)) == ANSWER
            keys.append(cache.last.key)
            assert text_of(client.chat.completions.create(**QUESTION, stream=True)) == ANSWER
            assert travels("Gulliver")["name"] == "Gulliver"
            keys.append(cache.last.key)
            cache.put(VALUE, request="Brobdingnagians")
            assert cache.get(request="Brobdingnagians") == VALUE
            keys.append(cache.last.key)
    assert text_of(client.chat.completions.create(**QUESTION)) == ANSWER
    keys.append(cache.last.key)
    assert upstream.calls == calls + 2  # with a tag and a tenant, and without
    names = [bytes.fromhex(key) for key in keys] + [*cache.session.engine._aliases]
    assert len(set(names)) == 6
    return names


def test_without_secrets_the_store_shows_answers_models_tags_and_keys(kept_at, upstream, wrapped):
    """Else the next test could not fail."""
    url, look = kept_at
    names = use_all_of_it(*wrapped(url, None), upstream)
    seen = look()
    assert [word for word in KEPT if word.encode() not in seen] == []
    assert all(name in seen for name in names)


def test_nobody_who_reads_the_store_learns_prompts_answers_models_tags_or_keys(
    kept_at, upstream, wrapped
):
    url, look = kept_at
    cache, client = wrapped(url)
    names = use_all_of_it(cache, client, upstream)
    for _ in range(2):
        seen = look()
        assert len(seen) > 1000
        assert [word for word in NEVER if word.encode() in seen] == []
        assert not any(name in seen or name.hex().encode() in seen for name in names)
        cache.close()  # in a file, what was in the log is in the database now


class Wiretap(CuttingProxy):
    """Remembers what went over each connection, each way."""

    def __init__(self, target) -> None:
        super().__init__(target)
        self.heard = {}

    async def _receive(self, source, queue):
        heard = self.heard.setdefault(source, bytearray())

        class Tap:
            async def put(self, item):
                heard.extend(item[1])
                await queue.put(item)

        await super()._receive(source, Tap())


def on_another_thread(do, *given):
    """Nobody waits for a stream that its own thread leads, even through another cache."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(do, *given).result(30)


def stream_and_first(client):
    stream = client.chat.completions.create(**QUESTION, stream=True)
    return stream, next(stream)


@pytest.mark.parametrize("secrets", [None, SECRET], ids=["plain", "sealed"])
def test_nobody_who_listens_to_the_server_learns_what_streams_say(
    upstream, valkey, wrapped, secrets
):
    with Wiretap(valkey.port) as tap:
        namespace = uuid.uuid4().hex
        url = f"redis://127.0.0.1:{tap.port}?namespace={namespace}&timeout=5&connect_timeout=5"
        (cache, leader), (_, follower) = wrapped(url, secrets), wrapped(url, secrets)
        with upstream.held(after_frames=3) as hold:
            leading = leader.chat.completions.create(**QUESTION, stream=True)
            first = next(leading)
            following, begun = on_another_thread(stream_and_first, follower)
            assert begun.id == first.id  # the upstream has not sent the rest yet
            hold.release()
            assert text_of(leading) == text_of(following) == ANSWER
        key = bytes.fromhex(cache.last.key)
        follower.close()
        leader.close()
        seen = b"\n".join(map(bytes, tap.heard.values()))
    assert upstream.calls == 1
    assert namespace.encode() + b":{0}:s:" in seen  # it was told through the server
    words = ("Wholeheartedly,", "chlorophyllous", "mustaches.", "gpt-4o-houyhnhnm")
    assert [word.encode() in seen for word in words] == [secrets is None] * 4
    assert (key in seen) == (secrets is None)


def test_a_stream_whose_end_was_forged_on_the_server_is_a_lost_connection(
    upstream, valkey, wrapped
):
    namespace = uuid.uuid4().hex
    url = f"{valkey.url}?namespace={namespace}&timeout=5&connect_timeout=5"
    (_, leader), (_, follower) = wrapped(url), wrapped(url)
    with upstream.held(after_frames=3), redis.Redis.from_url(valkey.url) as client:
        leading = leader.chat.completions.create(**QUESTION, stream=True)
        next(leading)
        following, _ = on_another_thread(stream_and_first, follower)
        [stream] = client.scan_iter(match=f"{namespace}:*:s:*")
        told = len(client.xrange(stream))
        client.xadd(stream, {b"e": b""}, id=f"0-{told + 1}")
        with pytest.raises(APIConnectionError):
            list(following)
        leading.close()


@pytest.mark.parametrize("secrets", [None, SECRET], ids=["plain", "sealed"])
def test_a_stream_whose_beginning_was_forged_on_the_server_is_not_waited_for(
    upstream, valkey, wrapped, secrets
):
    namespace = uuid.uuid4().hex
    url = f"{valkey.url}?namespace={namespace}&timeout=5&connect_timeout=5"
    clients = [wrapped(url, secrets)[1] for _ in range(3)]
    with upstream.held(after_frames=3) as hold, redis.Redis.from_url(valkey.url) as client:
        leading = clients[0].chat.completions.create(**QUESTION, stream=True)
        next(leading)
        on_another_thread(stream_and_first, clients[1])  # it is told by now
        [stream] = client.scan_iter(match=f"{namespace}:*:s:*")
        client.delete(stream)
        client.xadd(stream, {b"h": b"forged"}, id="0-1")
        last, _ = on_another_thread(stream_and_first, clients[2])
        assert upstream.calls == 2
        hold.release()
        assert text_of(last) == text_of(leading) == ANSWER


def test_a_piece_opens_in_its_own_place_of_its_own_stream_only():
    cover = Sealer(SECRET).flight("", bytes(20))
    tape = Tape(None, terminal=bool, settle=None, abandon=None)
    tape.pieces, tape.ended = [b"data: 1\n\n", b"data: 2\n\n"], True
    fields = Frames(tape, Response(200, (), b""), b"token", cover).more()
    head, one, two, end = [field[1:] for field in fields]

    def read(*fields, token=b"token"):
        feed = StreamFeed(None, b"", token, cover)
        return [feed._piece(place(at), field) for at, field in enumerate(fields, start=1)]

    assert read(head, one, two, end)[1:] == [*tape.pieces, None]
    for wrong in ([head, two], [head, one, one], [one], [head, end], [head, (b"e", one[1])]):
        with pytest.raises(UpstreamLost, match="forged"):
            read(*wrong)
    with pytest.raises(UpstreamLost, match="forged"):
        read(head, token=b"other")


PROCESS = """
import json, sys
from openai import OpenAI
from askonce import Cache

base, url, question = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
with Cache(url) as cache:
    client = cache.wrap(OpenAI(base_url=base + "/v1", api_key="k", max_retries=0))
    answer = client.chat.completions.create(**question)
    print(json.dumps([cache.last.kind, answer.choices[0].message.content]))
"""


def another_process(upstream, url, secrets):
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, upstream.url, url, json.dumps(QUESTION)],
        capture_output=True,
        text=True,
        env={**os.environ, "ASKONCE_SECRETS": secrets},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_another_process_with_the_same_secrets_hits_and_one_with_others_misses(
    kept_at, upstream, wrapped
):
    url, _ = kept_at
    _, client = wrapped(url)
    client.chat.completions.create(**QUESTION)
    assert another_process(upstream, url, SECRET) == ["hit", ANSWER]
    assert upstream.calls == 1
    new = "bmV3ZXIsIGFuZCBmb3IgdGVzdHMgb25seSB0b28hISE="
    assert another_process(upstream, url, f"{new}, {SECRET}") == ["hit", ANSWER]
    assert upstream.calls == 1
    assert another_process(upstream, url, new) == ["miss", ANSWER]
    assert another_process(upstream, url, new) == ["hit", ANSWER]
    assert upstream.calls == 2


def test_a_cache_without_secrets_and_one_with_share_a_store_and_nothing_in_it(
    kept_at, upstream, wrapped
):
    url, _ = kept_at
    for secrets in (SECRET, None, OTHER):
        cache, client = wrapped(url, secrets)
        client.chat.completions.create(**QUESTION)
        assert cache.last.kind == "miss"
        client.chat.completions.create(**QUESTION)
        assert cache.last.kind == "hit"
    assert upstream.calls == 3


def test_a_rotation_keeps_what_is_there_and_ends_with_the_new_secret_alone(
    kept_at, upstream, wrapped
):
    url, _ = kept_at
    _, old = wrapped(url)
    both, client = wrapped(url, [OTHER, SECRET])
    new, last = wrapped(url, OTHER)
    old.chat.completions.create(**QUESTION)
    client.chat.completions.create(**QUESTION)
    assert both.last.kind == "hit"
    with both.using(refresh=True):
        client.chat.completions.create(**QUESTION)
    last.chat.completions.create(**QUESTION)
    assert new.last.kind == "hit"
    assert upstream.calls == 2


def test_dropping_a_tenants_secret_ends_what_was_kept_for_it_alone(kept_at, upstream, wrapped):
    url, _ = kept_at
    before = {"": SECRET, TENANT: OTHER}
    for secrets, kinds in (
        (before, ["miss", "miss"]),
        (before, ["hit"] * 2),
        (SECRET, ["miss", "hit"]),
    ):
        cache, client = wrapped(url, secrets)
        seen = []
        for tenant in (TENANT, "another"):
            with cache.using(tenant=tenant):
                assert text_of(client.chat.completions.create(**QUESTION)) == ANSWER
                seen.append(cache.last.kind)
        assert seen == kinds


def test_invalidating_reaches_every_tenant_and_process_and_old_secret(kept_at, upstream, wrapped):
    url, _ = kept_at
    cache, client = wrapped(url)
    rotated, other = wrapped(url, [OTHER, SECRET])
    for tenant in ("", TENANT):
        for one, its in ((cache, client), (rotated, other)):
            with one.using(tags=[TAG], tenant=tenant):
                its.chat.completions.create(**QUESTION)
                its.chat.completions.create(**QUESTION)
                assert one.last.kind == "hit"
                assert set(one.last.tags) == {TAG}
    calls = upstream.calls
    for by, at, its in ((rotated, cache, client), (cache, rotated, other)):
        by.invalidate(tag=TAG)
        for tenant in ("", TENANT):
            with at.using(tags=[TAG], tenant=tenant):
                its.chat.completions.create(**QUESTION)
                assert at.last.kind == "miss"
    assert upstream.calls == calls + 4


def test_forgetting_by_key_or_outcome_needs_no_tenant(kept_at, upstream, wrapped):
    url, _ = kept_at
    cache, client = wrapped(url)
    for name in (lambda outcome: outcome, lambda outcome: outcome.key):
        with cache.using(tenant=TENANT):
            client.chat.completions.create(**QUESTION)
            assert cache.last.kind == "miss"
        assert cache.forget(name(cache.last)) == 1
        assert cache.forget(name(cache.last)) == 0
    assert upstream.calls == 2


def test_an_alias_learned_from_a_hit_is_found_by_every_process_of_its_tenant(
    kept_at, upstream, wrapped
):
    url, _ = kept_at
    transport = wrapped(url, tenant=TENANT)[0].transport(httpx2.HTTPTransport())
    http = httpx2.Client(transport=transport)
    with OpenAI(base_url=f"{upstream.url}/v1", api_key="k", http_client=http) as without_aliases:
        without_aliases.chat.completions.create(**QUESTION)
    cache, client = wrapped(url, tenant=TENANT)
    client.chat.completions.create(**QUESTION)
    assert cache.last.kind == "hit"
    [(alias, key)] = cache.session.engine._aliases.items()
    for tenant, known in ((TENANT, key), ("", None)):
        other = wrapped(url)[0].session.engine
        recalled = run(other.recall(alias, Options(tenant=tenant)))
        assert (recalled and recalled.key) == known
    assert upstream.calls == 1


def test_entries_are_listed_with_their_keys_for_the_tenant_in_force(kept_at, upstream, wrapped):
    url, _ = kept_at
    cache, client = wrapped(url)
    with cache.using(tenant=TENANT, tags=[TAG]):
        client.chat.completions.create(**QUESTION)
        [(key, entry)] = [(key, it) for key, it in cache.entries() if it.kind != "alias"]
    assert key.hex() == cache.last.key
    assert (entry.model, set(entry.tags)) == ("gpt-4o-houyhnhnm", {TAG})
    assert list(cache.entries()) == []


def test_answers_swapped_between_two_questions_are_misses(valkey, upstream, wrapped):
    namespace = uuid.uuid4().hex
    url = f"{valkey.url}?namespace={namespace}&timeout=5&connect_timeout=5"
    _, client = wrapped(url)
    one, two = QUESTION, {**QUESTION, "seed": 7}
    for question in (one, two):
        client.chat.completions.create(**question)
    with redis.Redis.from_url(valkey.url) as server:
        names = list(server.scan_iter(match=f"{namespace}:*:e:*"))
        values = [server.get(name) for name in names]
        assert len(names) == 4  # two answers, two aliases
        for shift in (1, 2, 3):
            for at, name in enumerate(names):
                server.set(name, values[(at + shift) % 4])
            cache, client = wrapped(url)
            for question in (one, two):
                client.chat.completions.create(**question)
                assert cache.last.kind == "miss"


def test_a_crowd_of_two_machines_makes_one_call(kept_at, upstream, wrapped):
    url, _ = kept_at
    clients = [wrapped(url)[1] for _ in range(2)]
    with upstream.held() as hold, ThreadPoolExecutor(20) as pool:
        waiting = [
            pool.submit(clients[n % 2].chat.completions.create, **QUESTION) for n in range(20)
        ]
        upstream.wait_for_calls(1)
        hold.release()
        ids = {done.result().id for done in waiting}
    assert len(ids) == 1
    assert upstream.calls == 1


def test_tasks_and_batches_hit_too(kept_at, upstream):
    url, _ = kept_at

    async def ask(inputs):
        async with (
            Cache(url, secrets=SECRET, policy=Policy(sampled=True)) as cache,
            AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k") as made,
        ):
            client = cache.wrap(made)
            await client.chat.completions.create(**QUESTION)
            kind = cache.last.kind
            found = await client.embeddings.create(model="text-embedding-3-small", input=inputs)
            return kind, [item.embedding for item in found.data]

    kind, vectors = asyncio.run(ask(["a", "b", "c"]))
    assert kind == "miss"
    assert upstream.calls == 2
    kind, again = asyncio.run(ask(["c", "a"]))
    assert kind == "hit"
    assert again == [vectors[2], vectors[0]]
    assert upstream.calls == 2


def test_a_damaged_file_of_sealed_entries_is_a_miss(upstream, wrapped, tmp_path):
    url = f"sqlite:///{tmp_path}/answers.db"
    cache, client = wrapped(url)
    client.chat.completions.create(**QUESTION)
    cache.close()
    path = tmp_path / "answers.db"
    data = bytearray(path.read_bytes())
    with Cache(url) as plain:
        sealed = next(entry for _, entry in plain.entries() if len(entry.body) > 200)
    at = bytes(data).index(sealed.body) + len(sealed.body) // 2
    data[at] ^= 1
    path.write_bytes(data)
    cache, client = wrapped(url)
    assert text_of(client.chat.completions.create(**QUESTION)) == ANSWER
    assert cache.last.kind == "miss"


# The setting


def test_wrong_secrets_are_a_config_error_at_once():
    with pytest.raises(ConfigError, match="secret 1 has 5 bytes"):
        Cache("memory://", secrets=b"short")
    with pytest.raises(ConfigError, match="no secrets"):
        Cache("memory://", secrets=[])


@pytest.mark.parametrize("value", ["", "short", f"{SECRET},"])
def test_a_wrong_variable_is_named_and_never_means_no_secrets(monkeypatch, value):
    monkeypatch.setenv("ASKONCE_SECRETS", value)
    with pytest.raises(ConfigError, match="^ASKONCE_SECRETS: secret . ") as raised:
        Cache("memory://")
    assert "token_urlsafe(32)" in str(raised.value)
    assert SECRET not in str(raised.value)


def test_secrets_of_the_program_come_before_those_of_the_environment(monkeypatch):
    monkeypatch.setenv("ASKONCE_SECRETS", SECRET)
    with Cache("memory://") as by_variable, Cache("memory://", secrets=OTHER) as by_program:
        by_variable.put("a", question=1)
        by_program.put("b", question=1)
        stored = [
            next(iter(one.session.engine.store._entries)) for one in (by_variable, by_program)
        ]
        [(key, _)] = by_program.entries()
    assert stored == [Sealer(secret).names(key)[0] for secret in (SECRET, OTHER)]


def test_cryptography_is_not_imported_without_secrets(tmp_path):
    program = (
        "import sys\n"
        "from askonce import Cache\n"
        "with Cache('sqlite:///a.db') as cache:\n"
        "    cache.put('a', q=1)\n"
        "    assert cache.get(q=1) == 'a'\n"
        "print('cryptography' in sys.modules, 'askonce.sealing' in sys.modules)\n"
        "with Cache('memory://', secrets=bytes(32)): pass\n"
        "print('cryptography' in sys.modules)\n"
    )
    environment = {name: it for name, it in os.environ.items() if name != "ASKONCE_SECRETS"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True, text=True, cwd=tmp_path, env=environment, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["False", "False", "True"]


# The command line


@pytest.fixture
def sealed_file(upstream, wrapped, tmp_path):
    """A file with a sealed answer and its alias, and a tagged one."""
    url = f"sqlite:///{tmp_path}/answers.db"
    cache, client = wrapped(url)
    client.chat.completions.create(**QUESTION)
    cache.put(VALUE, request=1)
    with cache.using(tags=[TAG]):
        cache.put(VALUE, request=2)
    cache.close()
    return url


def test_the_command_line_says_that_entries_are_sealed(sealed_file, capsys):
    assert main(["ls", "--url", sealed_file, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["kind"] for row in rows} == {"sealed"}
    assert {row["answer"] for row in rows} == {
        "sealed: only programs that have its secret can read it"
    }
    assert main(["ls", "--url", sealed_file]) == 0
    assert capsys.readouterr().out.count("sealed: ") == len(rows)
    for row in rows:
        assert main(["show", "--url", sealed_file, row["key"]]) == 0
        assert "sealed: only programs" in capsys.readouterr().out
        assert main(["show", "--url", sealed_file, row["key"], "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["kind"] == "sealed"
    assert main(["stats", "--url", sealed_file]) == 0
    assert f"{len(rows)} sealed" in capsys.readouterr().out
    assert main(["forget", "--url", sealed_file, rows[0]["key"]]) == 0


def test_sealed_entries_are_exported_and_imported_but_for_those_with_tags(
    sealed_file, tmp_path, capsys
):
    file, there = str(tmp_path / "out.jsonl"), f"sqlite:///{tmp_path}/other.db"
    assert main(["export", "--url", sealed_file, file]) == 0
    assert "left out 1 sealed entry with tags" in capsys.readouterr().err
    assert main(["import", "--url", there, file]) == 0
    with Cache(there, secrets=SECRET) as cache:
        assert cache.get(request=1) == VALUE
        assert cache.get(request=2) is None
