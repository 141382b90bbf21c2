"""What every store promises, kept by PostgreSQL; its leases, and what happens when it is gone."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from askonce import Cache
from askonce.blocking import run
from askonce.cli import main
from askonce.errors import ConfigError
from askonce.model import Entry
from askonce.postgres import address
from askonce.postgres.sessions import MOST, Sessions
from askonce.postgres.store import BETWEEN_SWEEPS, PostgreSQL
from askonce.stores.memory import Memory
from askonce.stores.tiered import Tiered
from askonce.testing import StoreContract
from askonce.testing.fake_script import Reply
from askonce.testing.ports import HOST, free_port
from askonce.testing.postgres import Postgres


class PostgresContract(StoreContract):
    @pytest.fixture(autouse=True)
    def _served(self, postgresql):
        self.url = postgresql.url

    def make_store(self, folder):
        # The time-out is for a machine that runs the server and the tests on two cores.
        return PostgreSQL(f"{self.url}?namespace=n{uuid.uuid4().hex[:20]}&timeout=5")


class TestPostgreSQL(PostgresContract):
    pass


class TestMemoryOverPostgreSQL(PostgresContract):
    def make_store(self, folder):
        return Tiered(Memory("100MB"), super().make_store(folder))


# Flights, among processes


QUESTION = {"model": "gpt-4o", "temperature": 0, "messages": [{"role": "user", "content": "Why?"}]}

PROGRAM = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from openai import OpenAI
from askonce import Cache

base, url, count, call = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
with Cache(url) as cache:
    client = cache.wrap(OpenAI(base_url=base + "/v1", api_key="k", max_retries=0))
    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(count) as pool:
        ask = lambda _: client.chat.completions.create(**call).id
        print(json.dumps(list(pool.map(ask, range(count)))), flush=True)
"""


@pytest.fixture
def url(postgresql):
    """The URL of an empty store."""
    return f"{postgresql.url}?namespace=n{uuid.uuid4().hex[:20]}&timeout=5"


@pytest.fixture
def process(upstream, url):
    """Start another machine's program, which calls when it is told."""
    started = []

    def start(threads=1):
        made = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, upstream.url, url, str(threads), json.dumps(QUESTION)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(made)
        assert made.stdout.readline().strip() == "ready"
        return made

    yield start
    for made in started:
        made.kill()
        made.communicate()


def go(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def answers(process):
    return set(json.loads(process.stdout.readline()))


def wrapped(cache, upstream):
    return cache.wrap(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0))


def test_four_processes_of_25_threads_make_one_call(upstream, process):
    crowd = [process(25) for _ in range(4)]
    with upstream.held() as hold:
        for one in crowd:
            go(one)
        upstream.wait_for_calls(1)
        hold.release()
        ids = {made for one in crowd for made in answers(one)}
    assert len(ids) == 1
    assert upstream.calls == 1


def test_when_a_leader_is_killed_another_process_leads(upstream, url, process):
    leader, followers = process(), [process(5), process(5)]
    with upstream.held() as hold:
        go(leader)
        upstream.wait_for_calls(1)
        for one in followers:
            go(one)
        os.kill(leader.pid, signal.SIGKILL)
        upstream.wait_for_calls(2)
        hold.release()
        ids = {made for one in followers for made in answers(one)}
    assert len(ids) == 1
    assert upstream.calls == 2


def test_a_leader_that_fails_lets_all_others_go_at_once(upstream, url):
    replies = itertools.chain([Reply(status=500)], itertools.repeat(Reply("fine")))
    upstream.script = lambda _: next(replies)
    with Cache(url) as one, Cache(url) as other:
        first, second = wrapped(one, upstream), wrapped(other, upstream)
        with upstream.held() as hold, ThreadPoolExecutor(4) as pool:
            leading = pool.submit(first.chat.completions.create, **QUESTION)
            upstream.wait_for_calls(1)
            later = [pool.submit(second.chat.completions.create, **QUESTION) for _ in range(3)]
            hold.release()
            with pytest.raises(openai.InternalServerError):
                leading.result()
            assert all(it.result(30).id for it in later)


def test_tasks_find_what_another_process_keeps_and_make_one_call(upstream, url):
    def client():
        return AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0)

    async def main():
        async with Cache(url) as cache, Cache(url) as other, client() as one, client() as two:
            clients = itertools.cycle([cache.wrap(one), other.wrap(two)])
            asked = [next(clients).chat.completions.create(**QUESTION) for _ in range(100)]
            return {answer.id for answer in await asyncio.gather(*asked)}

    assert len(asyncio.run(main())) == 1
    assert upstream.calls == 1


def test_a_child_has_sessions_and_leases_of_its_own(upstream, url):
    with Cache(url) as cache:
        client = wrapped(cache, upstream)
        kept = client.chat.completions.create(**QUESTION).id
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                other = {**QUESTION, "messages": [{"role": "user", "content": "In a child?"}]}
                same = client.chat.completions.create(**QUESTION).id == kept
                os._exit(0 if same and client.chat.completions.create(**other).id else 1)
            os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert client.chat.completions.create(**QUESTION).id == kept


# When it is gone


def test_calls_go_on_while_the_server_is_gone_and_are_kept_when_it_is_back(
    upstream, postgres_programs
):
    with Postgres(postgres_programs) as server, Cache(server.url) as cache:
        client, calls = wrapped(cache, upstream), itertools.count()

        def ask():
            content = f"Question {next(calls)}?"
            asked = {**QUESTION, "messages": [{"role": "user", "content": content}]}
            return client.chat.completions.create(**asked)

        ask()
        server.kill()
        for _ in range(5):
            ask()
        assert cache.stats().store == "failing"
        server.start()
        turns = iter(range(1000))
        while cache.stats().store != "working" and next(turns, None) is not None:
            ask()
            threading.Event().wait(0.02)
        assert cache.stats().store == "working"
        assert ask()
        assert cache.last.stored


def test_what_another_process_forgets_is_gone_within_a_second(upstream, url):
    with Cache(url) as one, Cache(url) as other:
        client = wrapped(one, upstream)
        kept = client.chat.completions.create(**QUESTION).id
        assert client.chat.completions.create(**QUESTION).id == kept
        assert other.forget(one.last) == 1
        turns = iter(range(300))
        while client.chat.completions.create(**QUESTION).id == kept and next(turns, -1) >= 0:
            threading.Event().wait(0.02)
        assert client.chat.completions.create(**QUESTION).id != kept


def test_expired_entries_are_dropped_by_later_puts(url):
    now = [1000.0]
    store = PostgreSQL(url, clock=lambda: now[0])
    short = {bytes((n,)) * 20: Entry(b"", 1000.0, expires=1001.0) for n in range(50)}
    run(store.put({**short, b"k" * 20: Entry(b"kept", 1000.0)}))
    now[0] = 2000.0
    for n in range(BETWEEN_SWEEPS):
        run(store.put({b"n" * 19 + bytes((n,)): Entry(b"", 2000.0)}))
    assert len(run(store.scan())) == BETWEEN_SWEEPS + 1
    run(store.close())


def test_any_number_of_threads_share_eight_sessions(url):
    sessions = Sessions(address.read(url), {})
    with contextlib.closing(sessions.open(5)) as session, ThreadPoolExecutor(20) as pool:

        def waiting():
            return session.run(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            )[0][0]

        session.run("SELECT pg_advisory_lock(1)")
        asked = [
            pool.submit(sessions.ask, "SELECT pg_advisory_xact_lock_shared(1)") for _ in range(20)
        ]
        turns = iter(range(500))
        while waiting() < MOST and next(turns, -1) >= 0:
            threading.Event().wait(0.01)
        # Twenty sessions of their own would be there within some milliseconds.
        threading.Event().wait(0.5)
        assert waiting() == MOST
        session.run("SELECT pg_advisory_unlock(1)")
        assert all(len(it.result()) == 1 for it in asked)
    sessions.close()


def test_who_may_only_read_and_write_uses_the_tables_of_their_owner(postgresql, url):
    key = b"k" * 20
    with contextlib.closing(Sessions(address.read(url), {}).open(5)) as session:
        session.run("CREATE ROLE writer LOGIN")
        session.run("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writer")
        session.run("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO writer")
    owner, writer = PostgreSQL(url), PostgreSQL(url.replace("postgres@", "writer@"))
    run(owner.put({key: Entry(b"kept", 1.0)}))
    assert run(writer.get((key,))).entries[0].body == b"kept"
    tagged = Entry(b"new", 1.0, tags=run(writer.get((), ["doc:1"])).versions)
    run(writer.put({key: tagged}))
    assert run(owner.get((key,))).entries == (tagged,)
    run(owner.close())
    run(writer.close())


# The URL


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("postgresql://ann:s3cret@host/db?wrong=1", "'wrong' is no option of this URL"),
        ("postgresql://ann:s3cret@host/db?namespace=a-b", "letters, digits and _"),
        ("postgresql://ann:s3cret@host:port/db", "host:port"),
        ("postgres+ssl://ann:s3cret@host/db", "did you mean"),
    ],
)
def test_a_wrong_url_says_what_is_wrong_and_no_password(said, hint):
    with pytest.raises(ConfigError) as raised, Cache(said) as cache:
        cache.get(model="any")
    assert hint in str(raised.value)
    assert "s3cret" not in str(raised.value)


# The command line


@pytest.fixture
def doctor(capsys, monkeypatch):
    """Run `askonce doctor URL --json`: exit code, and each check by its name."""
    monkeypatch.delenv("ASKONCE_URL", raising=False)

    def command(url):
        code = main(["doctor", url, "--json"])
        out, err = capsys.readouterr()
        assert err == ""
        return code, {check["name"]: check for check in json.loads(out)["checks"]}

    return command


def test_the_doctor_finds_a_sound_server_sound(doctor, url):
    code, found = doctor(url)
    assert code == 0
    ours = {"store", "server", "tls", "permissions", "pgvector", "latency", "entries", "use"}
    assert {name: it["state"] for name, it in found.items() if name in ours} == dict.fromkeys(
        ours, "ok"
    )
    assert "first cached call" in found["entries"]["says"]
    assert "row" in doctor(url)[1]["entries"]["says"]


def test_the_doctor_says_what_a_user_may_not(doctor, postgresql, url):
    with contextlib.closing(Sessions(address.read(url), {}).open(5)) as session:
        session.run("CREATE ROLE reader LOGIN")
        session.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    code, found = doctor(postgresql.url.replace("postgres@", "reader@"))
    assert code == 3
    assert found["permissions"]["state"] == "broken"
    assert found["permissions"]["fix"] == "GRANT CREATE ON SCHEMA public TO reader"


def test_the_doctor_says_that_nobody_answers(doctor):
    code, found = doctor(f"postgresql://ann:s3cret@{HOST}:{free_port()}/any")
    assert code == 3
    assert found["server"]["state"] == "broken"
    assert "postgresql://user" in found["server"]["fix"]
    assert "s3cret" not in json.dumps(found)


def test_commands_list_show_export_and_forget_what_is_kept(capsys, url, tmp_path):
    with Cache(url) as cache:
        cache.put("An answer.", model="m", q=1)
        assert cache.get(model="m", q=1) == "An answer."
        key = cache.last.key
        file = str(tmp_path / "kept.jsonl")
        assert main(["ls", "--url", url]) == 0
        assert key[:12] in capsys.readouterr().out
        assert main(["export", "--url", url, file]) == 0
        assert main(["forget", "--url", url, key]) == 0
        assert main(["import", "--url", url, file]) == 0
    with Cache(url) as cache:
        assert cache.get(model="m", q=1) == "An answer."
