from __future__ import annotations

import os
import random
import sqlite3
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from askonce.blocking import run
from askonce.codec import encode
from askonce.errors import StoreError
from askonce.model import Entry
from askonce.stores import connections, eviction, schema, tag_table
from askonce.stores.sqlite import SQLite

KEY = bytes(range(20))
ALIAS = bytes(range(20, 40))


class Clock:
    """A time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1764000000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "answers.db"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(path, clock):
    made = SQLite(path, clock=clock)
    yield made
    run(made.close())


def entry(size: int = 10, **facts) -> Entry:
    return Entry(random.Random(size).randbytes(size), created=1.0, **facts)


def get(store, key=KEY):
    return run(store.get((key,))).entries[0]


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# The file


def test_nothing_is_touched_before_the_first_use(path, tmp_path):
    store = SQLite(path)
    assert store.leases is not None
    assert list(tmp_path.iterdir()) == []
    run(store.close())
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_may_read_what_is_made(store, path):
    umask = os.umask(0)
    try:
        run(store.put({KEY: entry()}))
        assert run(store.leases.acquire(KEY))
    finally:
        os.umask(umask)
    assert mode(path.parent) == 0o700
    assert {it.name: mode(it) for it in path.parent.iterdir()} == {
        "answers.db": 0o600,
        "answers.db-wal": 0o600,
        "answers.db-shm": 0o600,
        "answers.db-leases": 0o600,
    }


def test_a_folder_that_was_there_keeps_its_rights(tmp_path):
    tmp_path.chmod(0o755)
    store = SQLite(tmp_path / "answers.db")
    run(store.put({KEY: entry()}))
    run(store.close())
    assert mode(tmp_path) == 0o755


def test_another_process_finds_what_was_kept(store, path):
    run(store.put({KEY: entry(5000)}))
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from askonce.blocking import run; from askonce.stores.sqlite import SQLite;"
            "sys.stdout.buffer.write(run(SQLite(sys.argv[1]).get((bytes(range(20)),))).entries[0].body)",
            path,
        ],
        check=True,
        capture_output=True,
    )
    assert found.stdout == entry(5000).body


def test_closing_leaves_one_file_and_the_lock_file(store, path):
    run(store.put({KEY: entry()}))
    run(store.close())
    assert sorted(it.name for it in path.parent.iterdir()) == ["answers.db", "answers.db-leases"]


def test_a_file_from_the_future_is_named_and_not_touched(store, path):
    run(store.put({KEY: entry()}))
    run(store.close())
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    database.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer askonce: upgrade"):
        get(SQLite(path))
    assert path.read_bytes() == before


def test_a_file_of_the_first_version_is_set_aside_whole(store, path, caplog):
    run(store.put({KEY: entry()}))
    run(store.close())
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 1")
    database.close()
    before = path.read_bytes()
    newer = SQLite(path)
    assert get(newer) is None
    run(newer.put({KEY: entry()}))
    run(newer.close())
    (aside,) = path.parent.glob("*damaged*")
    assert aside.read_bytes() == before
    (warning,) = caplog.messages
    assert "unsupported file format 1" in warning


def make_version_2(path, entries: dict[bytes, Entry]) -> None:
    """Turn a file with our tables into one as askonce wrote it before version 3."""
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE entries")
        database.execute("""CREATE TABLE entries (
            id INTEGER PRIMARY KEY, expires REAL, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL)""")
        database.execute(
            "CREATE INDEX entries_by_end ON entries (expires) WHERE expires IS NOT NULL"
        )
        database.executemany(
            "INSERT INTO entries (expires, key, value) VALUES (?, ?, ?)",
            [(it.end, key, encode(key, it)) for key, it in entries.items()],
        )
        database.execute("PRAGMA user_version = 2")
    database.close()


def test_a_file_of_version_2_is_kept_and_gets_what_it_lacks(store, path, caplog):
    alias = Entry(KEY, created=1.0, kind="alias")
    run(store.get((KEY,)))
    run(store.close())
    make_version_2(path, {KEY: entry(), ALIAS: alias})
    newer = SQLite(path)
    found = run(newer.get((KEY, ALIAS)))
    assert (found.entries, dict(found.targets)) == ((entry(), alias), {})
    run(newer.put({ALIAS: alias}))
    assert dict(run(newer.get((ALIAS,))).targets) == {KEY: entry()}
    run(newer.close())
    assert not caplog.messages
    database = sqlite3.connect(path)
    schemas = database.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()
    assert ("entries_by_end",) not in schemas
    database.close()


def test_many_processes_may_open_a_file_of_version_2_at_once(store, path):
    run(store.get((KEY,)))
    run(store.close())
    make_version_2(path, {KEY: entry()})
    code = f"""
from askonce.blocking import run
from askonce.codec import encode
from askonce.stores.sqlite import SQLite
store = SQLite({str(path)!r})
print(run(store.get(({KEY!r},))).entries[0] is not None)
run(store.close())
"""
    command = [sys.executable, "-c", code]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    assert [process.communicate(timeout=60) for process in started] == [("True\n", "")] * 6


# Aliases


def test_an_alias_comes_with_what_it_points_at(store):
    alias = Entry(KEY, created=1.0, kind="alias")
    run(store.put({KEY: entry(), ALIAS: alias}))
    found = run(store.get((ALIAS,)))
    assert (found.entries, dict(found.targets)) == ((alias,), {KEY: entry()})
    run(store.forget((KEY,)))
    found = run(store.get((ALIAS,)))
    assert (found.entries, dict(found.targets)) == ((alias,), {})


def test_an_alias_comes_without_an_answer_whose_tag_was_invalidated(store):
    versions = run(store.get((), ("doc",))).versions
    alias = Entry(KEY, created=1.0, kind="alias")
    run(store.put({KEY: entry(tags=versions), ALIAS: alias}))
    assert list(run(store.get((ALIAS,))).targets) == [KEY]
    run(store.invalidate("doc"))
    assert dict(run(store.get((ALIAS,))).targets) == {}


def test_the_use_of_an_alias_is_a_use_of_its_answer(path, clock):
    store = SQLite(path, limit=300_000, clock=clock)
    run(store.put({KEY: entry(1000), ALIAS: Entry(KEY, created=1.0, kind="alias")}))
    for turn in range(10):
        fill(store, 50, first=turn * 50)
        assert dict(run(store.get((ALIAS,))).targets) == {KEY: entry(1000)}
    run(store.close())


@pytest.mark.parametrize("kind", ["text", "application", "tables"])
def test_a_file_of_another_program_is_not_touched(tmp_path, kind):
    path = tmp_path / "notes.db"
    if kind == "text":
        path.write_text("My notes.\n" * 50)
    else:
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA application_id = 7" if kind == "application" else "SELECT 1")
            database.execute("CREATE TABLE notes (text)")
        database.close()
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(StoreError, match="not a cache of askonce: choose another file"):
            run(SQLite(path).put({KEY: entry()}))
    assert path.read_bytes() == before


def test_many_threads_may_begin_the_file_at_once(path):
    stores = [SQLite(path, busy=5) for _ in range(8)]
    keys = [bytes((number,)) * 20 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda pair: run(pair[0].put({pair[1]: entry()})), zip(stores, keys)))
    assert [get(stores[0], key) for key in keys] == [entry()] * 8
    for store in stores:
        run(store.close())


def test_many_processes_may_begin_the_file_at_once(path):
    code = (
        "import sys; from askonce.blocking import run; from askonce.model import Entry\n"
        "from askonce.stores.sqlite import SQLite\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "key = bytes((int(sys.argv[2]),)) * 20\n"
        "run(SQLite(sys.argv[1], busy=5).put({key: Entry(key, 1.0)}))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, path, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(6)
    ]
    for process in processes:
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert [process.communicate()[0] for process in processes] == [b""] * 6
    store = SQLite(path)
    for number in range(6):
        assert get(store, bytes((number,)) * 20) is not None
    run(store.close())


# Its limit


def fill(store, count: int, size: int = 1000, first: int = 0) -> list[bytes]:
    keys = [random.Random(number).randbytes(20) for number in range(first, first + count)]
    for number, key in enumerate(keys):
        store._clock.now += 1.0
        run(store.put({key: entry(size, tags={}, model=str(number))}))
    return keys


def test_the_file_stays_near_its_limit(path, clock):
    store = SQLite(path, limit=300_000, clock=clock)
    largest = 0
    for turn in range(10):
        fill(store, 100, first=turn * 100)
        largest = max(largest, path.stat().st_size)
    assert 200_000 < largest < 330_000
    log = path.with_name("answers.db-wal").stat().st_size
    assert log < 150_000
    run(store.close())
    assert path.stat().st_size < 330_000


def test_the_least_recently_used_go_first(path, clock):
    store = SQLite(path, limit=300_000, clock=clock)
    early = fill(store, 100)
    for key in early[:20]:
        assert get(store, key) is not None
    fill(store, 130, first=1000)
    kept = [get(store, key) is not None for key in early]
    assert all(kept[:20])
    assert not any(kept[20:60])
    run(store.close())


def test_the_expired_go_before_the_unused(path, clock):
    store = SQLite(path, limit=300_000, clock=clock)
    early = fill(store, 50)
    expired = [bytes((number, 7)) * 10 for number in range(100)]
    for key in expired:
        run(store.put({key: entry(1000, expires=clock.now + 0.5)}))
    clock.now += 1
    fill(store, 60, first=1000)
    assert all(get(store, key) is not None for key in early)
    assert sum(get(store, key) is not None for key in expired) < 90
    run(store.close())


def test_the_expired_are_found_behind_many_others(path, clock):
    store = SQLite(path, limit=600_000, clock=clock)
    small = fill(store, 3 * eviction.SWEPT, size=100)
    expired = [bytes((number, 7)) * 10 for number in range(200)]
    run(store.put({key: entry(1000, expires=clock.now + 0.5) for key in expired}))
    fill(store, 200, first=5000)
    assert sum(get(store, key) is not None for key in small) > len(small) / 2
    database = sqlite3.connect(path)
    keys = {key for (key,) in database.execute("SELECT key FROM entries")}
    database.close()
    assert keys.isdisjoint(expired)
    run(store.close())


def test_a_limit_that_was_lowered_is_reached_in_instalments(path, clock):
    store = SQLite(path, limit="10MB", clock=clock)
    run(store.put({random.Random(n).randbytes(20): entry(1000) for n in range(3000)}))
    run(store.close())
    store = SQLite(path, limit=300_000, clock=clock)
    sizes = []
    for turn in range(60):
        fill(store, 10, first=10_000 + 10 * turn)
        sizes.append(path.stat().st_size)
    assert sizes[1] > 2_000_000
    assert sizes[-1] < 330_000
    run(store.close())


def test_forgetting_gives_the_room_back(path, clock):
    store = SQLite(path, limit="10MB", clock=clock)
    keys = fill(store, 1000, size=3000)
    for start in range(0, 1000, 200):
        assert run(store.forget(keys[start : start + 200])) == 200
    run(store.close())
    assert path.stat().st_size < 500_000


def test_an_entry_larger_than_the_limit_is_not_kept_and_leaves_no_older_one(path):
    store = SQLite(path, limit=100_000)
    run(store.put({KEY: entry(10)}))
    run(store.put({KEY: entry(200_000)}))
    assert get(store) is None
    run(store.close())


def test_hits_write_nothing_and_the_next_put_writes_their_uses(store, path, clock):
    keys = fill(store, 20)
    other = sqlite3.connect(path)

    def state():
        return other.execute("PRAGMA data_version").fetchone(), path.with_name(
            "answers.db-wal"
        ).stat().st_mtime_ns

    before = state()
    for key in (*keys[:3], *keys[17:]):
        get(store, key)
    assert state() == before
    run(store.put({KEY: entry()}))
    assert state() != before
    order = [key for (key,) in other.execute("SELECT key FROM entries ORDER BY id")]
    # What is in the newer half stays where it is.
    assert order[:18] == [*keys[3:], KEY]
    assert set(order[18:]) == set(keys[:3])
    other.close()


# Connections


def test_no_verb_leaves_a_transaction_open(store, path):
    version = run(store.get((), ("doc:42",))).versions
    run(store.put({KEY: entry(tags=version), bytes(20): entry()}))
    run(store.get((KEY, bytes(20)), ("doc:42", "doc:43")))
    run(store.scan())
    run(store.forget((KEY,)))
    run(store.invalidate("doc:42"))
    run(store.generation())
    for broken in (
        {KEY: entry(), bytes(20): entry(model="\ud800")},
        {KEY: entry(tags={"\ud800": b""})},
    ):
        with pytest.raises(StoreError, match="cannot be stored"):
            run(store.put(broken))
    with pytest.raises(StoreError, match="cannot be stored"):
        run(store.get((), ("fine", "\ud800")))
    assert get(store) is None
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    # Only a log that nobody reads or writes can be emptied.
    assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    other.execute("BEGIN EXCLUSIVE")
    other.close()


def test_threads_share_connections_and_few_are_kept(store):
    run(store.put({KEY: entry()}))
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda _: get(store) == entry(), range(500)))
    assert 1 <= len(store._database._idle) <= connections.MOST_IDLE
    assert set(store._database._idle) == store._database._all


def test_a_writer_that_holds_the_file_costs_the_busy_time_and_no_more(store, path):
    run(store.put({KEY: entry()}))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with pytest.raises(StoreError, match="locked"):
        run(store.put({KEY: entry(20)}))
    assert time.monotonic() - began < 1
    assert get(store) == entry()
    other.execute("ROLLBACK")
    run(store.put({KEY: entry(20)}))
    assert get(store) == entry(20)
    other.close()


# Tags and generations


def test_tags_beyond_the_most_drop_all_of_them(store, path):
    run(store.put({KEY: entry()}))
    database = sqlite3.connect(path, isolation_level=None)
    database.text_factory = bytes
    first = tag_table.versions(database, [str(number) for number in range(10)], most=10)
    assert tag_table.versions(database, ["3"], most=10) == {"3": first["3"]}
    second = tag_table.versions(database, ["3", "new"], most=10)
    assert set(second) == {"3", "new"}
    assert second["3"] != first["3"]
    assert database.execute("SELECT count(*) FROM tags").fetchone() == (2,)
    database.close()


def test_forgetting_changes_the_generation_and_nothing_else_does(store):
    before = run(store.generation())
    run(store.put({KEY: entry()}))
    run(store.invalidate("doc:42"))
    assert run(store.generation()) == before
    run(store.forget((bytes(20),)))
    assert run(store.generation()) != before


def test_no_two_files_have_one_generation(tmp_path):
    stores = [SQLite(tmp_path / name) for name in ("a.db", "b.db")]
    assert len({run(store.generation()) for store in stores}) == 2
    for store in stores:
        run(store.close())
