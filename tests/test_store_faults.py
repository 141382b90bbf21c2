"""Files that are damaged, deleted, locked or full, and processes that die."""

from __future__ import annotations

import logging
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from askonce.blocking import run
from askonce.errors import StoreError
from askonce.model import Entry
from askonce.stores.memory import Memory
from askonce.stores.sqlite import SQLite
from askonce.stores.tiered import Tiered

KEY = bytes(range(20))
ENTRY = Entry(b"an answer", created=1.0)


class Clock:
    """A time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1764000000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.db"


def get(store, key=KEY):
    return run(store.get((key,))).entries[0]


def aside(path) -> list[Path]:
    return sorted(path.parent.glob("*.damaged-*[0-9]"))


def start(code: str, *arguments: object) -> subprocess.Popen[bytes]:
    """Start a Python process that says `ready`, and wait until it does."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PRELUDE + code]
        + [str(argument) for argument in arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


PRELUDE = """
import os, sys
from askonce.blocking import run
from askonce.errors import StoreError
from askonce.model import Entry
from askonce.stores.sqlite import SQLite

def ready():
    print("ready", flush=True)

def get(store, key):
    return run(store.get((key,))).entries[0]

def put(store, key):
    run(store.put({key: Entry(key, 1.0)}))

"""


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The bytes of a sound file, and the entries in it."""
    path = tmp_path_factory.mktemp("sound") / "answers.db"
    chance = random.Random(1)
    store = SQLite(path)
    tags = run(store.get((), ("doc:1", "doc:2"))).versions
    entries = {
        chance.randbytes(20): Entry(
            chance.randbytes(chance.choice((10, 500, 3000, 9000))),
            created=1.0,
            tags=tags if chance.random() < 0.3 else {},
        )
        for _ in range(60)
    }
    run(store.put(entries))
    run(store.close())
    return path.read_bytes(), entries


def use_damaged(path, data, entries) -> int:
    """Use a damaged file for everything; nothing wrong may come out. Return how much is left."""
    for left in path.parent.iterdir():
        if left.name != "answers.db-leases":
            left.unlink()
    path.write_bytes(data)
    store = Tiered(Memory(), SQLite(path))
    kept = 0
    for key, entry in entries.items():
        found = get(store, key)
        assert found in (None, entry)
        kept += found is not None
    try:
        run(store.put({KEY: ENTRY}))
        run(store.scan())
        run(store.forget(list(entries)))
        run(store.invalidate("doc:1"))
    except StoreError:
        pass  # a header bit that marks the file as read-only, for example
    assert get(store) == ENTRY
    run(store.close())
    return kept


def test_a_flipped_bit_is_never_a_wrong_answer(path, sound, caplog):
    caplog.set_level(logging.CRITICAL)
    data, entries = sound
    run(SQLite(path).get((KEY,)))
    chance = random.Random(2)
    bits = [*range(0, 100 * 8, 5), *(chance.randrange(len(data) * 8) for _ in range(150))]
    kept = 0
    for bit in bits:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        kept += use_damaged(path, bytes(flipped), entries)
    assert kept > len(bits) * len(entries) // 2


@pytest.mark.parametrize("size", [0, 1, 16, 99, 100, 4095, 4096, 4097, 20_000, 100_000, -1])
def test_a_file_that_was_cut_short_is_never_a_wrong_answer(path, sound, size, caplog):
    caplog.set_level(logging.CRITICAL)
    run(SQLite(path).get((KEY,)))
    data, entries = sound
    use_damaged(path, data[:size], entries)


def test_noise_in_place_of_the_file_is_never_a_wrong_answer(path, sound, caplog):
    caplog.set_level(logging.CRITICAL)
    run(SQLite(path).get((KEY,)))
    data, entries = sound
    assert use_damaged(path, random.Random(3).randbytes(len(data)), entries) == 0
    assert use_damaged(path, data[:100] + random.Random(3).randbytes(len(data)), entries) == 0


def test_a_damaged_log_costs_entries_but_is_never_a_wrong_answer(tmp_path):
    path = tmp_path / "answers.db"
    writer = start(
        "store = SQLite(sys.argv[1])\n"
        "for n in range(100): put(store, bytes((n,)) * 20)\n"
        "ready(); os._exit(0)",
        path,
    )
    writer.communicate()
    log = path.with_name("answers.db-wal")
    data = log.read_bytes()
    assert len(data) > 100_000
    sound = {it: (tmp_path / it).read_bytes() for it in ("answers.db", "answers.db-shm")}
    chance = random.Random(4)
    for turn in range(30):
        for name, content in sound.items():
            (tmp_path / name).write_bytes(content)
        damaged = bytearray(data)
        at = chance.randrange(len(data))
        damaged[at] ^= 1 << chance.randrange(8)
        log.write_bytes(damaged if turn % 2 else data[:at])
        store = SQLite(path)
        for number in range(100):
            found = get(store, bytes((number,)) * 20)
            assert found is None or found.body == bytes((number,)) * 20
        run(store.put({KEY: ENTRY}))
        assert get(store) == ENTRY
        run(store.close())
    assert aside(path) == []


@pytest.mark.parametrize("size", [0, 100, 8192])
def test_a_file_that_is_cut_short_while_open_is_begun_again(path, sound, size, caplog):
    data, entries = sound
    path.write_bytes(data)
    store = SQLite(path)
    assert get(store, next(iter(entries))) is not None
    os.truncate(path, size)
    for key, entry in entries.items():
        assert get(store, key) in (None, entry)
    run(store.put({KEY: ENTRY}))
    assert get(store) == ENTRY
    run(store.close())
    assert len(aside(path)) == len(caplog.records) <= 1


def test_a_damaged_file_is_set_aside_with_one_warning_and_a_new_one_begun(path, sound, caplog):
    data, entries = sound
    path.write_bytes(data[:100] + random.Random(5).randbytes(len(data) - 100))
    path.with_name("answers.db-leases").touch()
    damaged = path.read_bytes()
    store = SQLite(path)
    assert [get(store, key) for key in entries] == [None] * len(entries)
    run(store.put({KEY: ENTRY}))
    assert get(store) == ENTRY
    assert [it.read_bytes() for it in aside(path)] == [damaged]
    assert [it.levelname for it in caplog.records] == ["WARNING"]
    assert aside(path)[0].name in caplog.text
    run(store.close())


def test_a_disk_that_keeps_damaging_files_is_not_filled_with_them(path, sound, caplog):
    path.with_name("answers.db-leases").touch()
    store = SQLite(path)
    for turn in range(3):
        store._database._drop_idle()
        path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
        if turn == 0:
            assert get(store) is None
        else:
            with pytest.raises(StoreError, match="not a database"):
                get(store)
    assert len(aside(path)) == len(caplog.records) == 1
    run(store.close())


def test_of_many_processes_one_sets_the_damaged_file_aside(path, sound):
    data, entries = sound
    path.with_name("answers.db-leases").touch()
    code = (
        "import logging; logging.basicConfig(format='%(message)s', stream=sys.stdout)\n"
        "store = SQLite(sys.argv[1], busy=5); ready(); sys.stdin.readline()\n"
        "keys = [bytes((int(sys.argv[2]), n)) * 10 for n in range(20)]\n"
        "for key in keys: put(store, key)\n"
        "sys.exit(any(get(store, key).body != key for key in keys))"
    )
    processes = [start(code, path, number) for number in range(4)]
    path.write_bytes(data[:100] + random.Random(6).randbytes(len(data) - 100))
    for process in processes:
        process.stdin.write(b"\n")
        process.stdin.flush()
    said = b"".join(process.communicate()[0] for process in processes)
    assert [process.returncode for process in processes] == [0] * 4
    assert said.count(b"is damaged") == len(aside(path)) == 1


def test_a_deleted_file_is_noticed_within_a_second_and_a_new_one_begun(path):
    clock = Clock()
    store = SQLite(path, clock=clock)
    run(store.put({KEY: ENTRY}))
    before = run(store.generation())
    path.unlink()
    clock.now += 1.0
    assert get(store) is None
    run(store.put({KEY: ENTRY}))
    assert path.exists()
    assert get(store) == ENTRY
    assert run(store.generation()) != before
    run(store.close())
    store = SQLite(path)
    assert get(store) == ENTRY
    run(store.close())


def test_a_deleted_folder_is_made_again(tmp_path):
    clock = Clock()
    path = tmp_path / "cache" / "answers.db"
    store = SQLite(path, clock=clock)
    run(store.put({KEY: ENTRY}))
    assert run(store.leases.acquire(KEY))
    shutil.rmtree(path.parent)
    clock.now += 1.0
    assert get(store) is None
    run(store.put({KEY: ENTRY}))
    assert get(store) == ENTRY
    run(store.close())


def test_what_other_processes_keep_of_a_deleted_file_does_not_harm_the_new_one(path):
    other = start(
        "store = SQLite(sys.argv[1])\n"
        "for n in range(50): put(store, bytes((n,)) * 20)\n"
        "ready(); sys.stdin.readline()\n"
        "for n in range(50): put(store, bytes((n, 1)) * 10)\n"
        "run(store.close()); ready()",
        path,
    )
    path.unlink()
    store = SQLite(path)
    keys = [bytes((number, 2)) * 10 for number in range(100)]
    for key in keys[:50]:
        run(store.put({key: Entry(key, 1.0)}))
    other.communicate(b"\n")
    for key in keys[50:]:
        run(store.put({key: Entry(key, 1.0)}))
    run(store.close())
    store = SQLite(path)
    assert [get(store, key).body for key in keys] == keys
    run(store.close())
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_a_file_locked_by_another_process_is_a_store_error_until_it_is_free(path):
    store = SQLite(path)
    run(store.put({KEY: ENTRY}))
    run(store.close())
    holder = start(
        "import sqlite3; database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "database.execute('PRAGMA locking_mode = EXCLUSIVE')\n"
        "database.execute('BEGIN EXCLUSIVE'); ready(); sys.stdin.readline()",
        path,
    )
    store = SQLite(path)
    began = time.monotonic()
    for verb in (
        lambda: get(store),
        lambda: run(store.put({KEY: ENTRY})),
        lambda: run(store.get((), ("doc:42",))),
    ):
        with pytest.raises(StoreError, match="locked"):
            verb()
    assert time.monotonic() - began < 2
    holder.communicate(b"\n")
    assert get(store) == ENTRY
    run(store.close())
    assert aside(path) == []


def test_a_full_disk_is_a_store_error_and_what_is_there_stays(path):
    store = SQLite(path)
    run(store.put({KEY: ENTRY}))
    (connection,) = store._database._idle
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match="full"):
        run(store.put({bytes((n,)) * 20: Entry(os.urandom(9000), 1.0) for n in range(9)}))
    assert not connection.in_transaction
    assert get(store) == ENTRY
    assert get(store, bytes(20)) is None
    run(store.close())


def test_a_limit_on_the_size_of_files_is_a_store_error_and_what_is_there_stays(path):
    writer = start(
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "store = SQLite(sys.argv[1]); kept = []\n"
        "for n in range(200):\n"
        "    key = bytes((n,)) * 20\n"
        "    try: run(store.put({key: Entry(key * 200, 1.0)}))\n"
        "    except StoreError: continue\n"
        "    kept.append(key)\n"
        "assert 5 < len(kept) < 150, len(kept)\n"
        "for key in kept: assert get(store, key).body == key * 200\n"
        "ready(); run(store.close())",
        path,
    )
    writer.communicate()
    assert writer.returncode == 0
    assert aside(path) == []


@pytest.mark.parametrize("what", ["a file for a folder", "a folder for a file"])
def test_a_place_that_cannot_be_written_is_a_store_error(tmp_path, what):
    path = tmp_path / "place" / "answers.db"
    if what == "a file for a folder":
        path.parent.write_text("in the way")
    else:
        path.mkdir(parents=True)
    store = SQLite(path)
    for verb in (lambda: get(store), lambda: run(store.put({KEY: ENTRY}))):
        with pytest.raises(StoreError, match="answers.db|place"):
            verb()
    assert run(store.leases.acquire(KEY))
    store.leases.release(KEY, failed=True)
    run(store.close())


def test_a_place_without_the_right_to_write_is_a_store_error():
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are shut to other users
        Path(folder).chmod(0o755)
        other = start(
            "KEY = bytes(20); folder = sys.argv[1]; place = folder + '/place'\n"
            "warm = SQLite(folder + '/warm/answers.db')\n"
            "put(warm, KEY); run(warm.leases.acquire(KEY)); run(warm.close()); os.mkdir(place)\n"
            "if os.getuid() == 0:\n"  # rights do not bind root
            "    os.chown(place, 65534, 65534); os.setgid(65534); os.setuid(65534)\n"
            "os.chmod(place, 0o500)\n"
            "store = SQLite(place + '/answers.db')\n"
            "for verb in (lambda: get(store, KEY), lambda: put(store, KEY)):\n"
            "    try: verb()\n"
            "    except StoreError as error: assert 'place' in str(error), error\n"
            "    else: raise AssertionError('it was written')\n"
            "assert run(store.leases.acquire(KEY))\n"
            "store.leases.release(KEY, failed=True); run(store.close())\n"
            "os.chmod(place, 0o700)\n"
            "store = SQLite(place + '/answers.db'); put(store, KEY); run(store.close())\n"
            "ready()",
            folder,
        )
        other.communicate()
        assert other.returncode == 0


def test_writers_killed_in_the_middle_lose_nothing_that_was_acknowledged():
    storm = Path(__file__).parents[1] / "bench" / "crash.py"
    done = subprocess.run(
        [sys.executable, storm, "10"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 lost, 0 wrong" in done.stdout


def test_a_child_and_its_parent_write_side_by_side_and_lose_nothing(path):
    """A child that went on beside its parent's connections lost rows it had acknowledged."""
    parent = start(
        "store = SQLite(sys.argv[1])\n"
        "put(store, b'p' * 20)\n"
        "up, down = os.pipe(), os.pipe()\n"
        "if not os.fork():\n"
        "    put(store, b'c' * 20); os.write(up[1], b'1')\n"
        "    os.read(down[0], 1)\n"
        "    for n in range(50): put(store, bytes((n, 1)) * 10)\n"
        "    os._exit(0)\n"
        "os.read(up[0], 1)\n"
        "for n in range(50): put(store, bytes((n, 2)) * 10)\n"
        "run(store.close()); ready(); sys.stdin.readline()\n"
        "os.write(down[1], b'1'); os.wait()",
        path,
    )
    third = SQLite(path)
    run(third.put({KEY: ENTRY}))
    run(third.close())
    parent.communicate(b"\n")
    assert parent.returncode == 0
    keys = [b"p" * 20, b"c" * 20] + [bytes((n, who)) * 10 for n in range(50) for who in (1, 2)]
    store = SQLite(path)
    assert [get(store, key).body for key in keys] == keys
    assert get(store) == ENTRY
    run(store.close())


def test_a_fork_amid_threads_leaves_both_processes_working(path):
    # SQLite's locks are not fair: a child beside three threads that never pause may be refused,
    # and asks again.
    parent = start(
        "import threading\n"
        "from askonce.stores.memory import Memory\n"
        "from askonce.stores.tiered import Tiered\n"
        "store = Tiered(Memory('100KB'), SQLite(sys.argv[1])); stop = threading.Event()\n"
        "def keep(key):\n"
        "    while True:\n"
        "        try: return put(store, key)\n"
        "        except StoreError: pass\n"
        "def work(mine):\n"
        "    turn = 0\n"
        "    while not stop.is_set():\n"
        "        keep(bytes((mine, turn % 50)) * 10); get(store, bytes((0, turn % 50)) * 10)\n"
        "        turn += 1\n"
        "threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(3)]\n"
        "for thread in threads: thread.start()\n"
        "for child in range(15):\n"
        "    if not os.fork():\n"
        "        for n in range(10): keep(bytes((200, child, n, 1)) * 5)\n"
        "        assert get(store, bytes((200, child, 0, 1)) * 5)\n"
        "        run(store.close()); os._exit(0)\n"
        "    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0\n"
        "stop.set()\n"
        "for thread in threads: thread.join()\n"
        "run(store.close()); ready()",
        path,
    )
    parent.communicate(timeout=120)
    assert parent.returncode == 0
    store = SQLite(path)
    for child in range(15):
        for number in range(10):
            assert get(store, bytes((200, child, number, 1)) * 5) is not None
    run(store.close())
    assert aside(path) == []


def test_a_process_that_never_closes_its_store_ends_quietly(path):
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", PRELUDE + "put(SQLite(sys.argv[1]), bytes(20))", path],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_stopped_opener_does_not_hold_the_others_for_ever(path):
    holder = start(
        "store = SQLite(sys.argv[1]); put(store, bytes(20))\n"
        "alone = store._database._alone(); alone.__enter__(); ready(); sys.stdin.readline()",
        path,
    )
    holder.send_signal(signal.SIGSTOP)
    store = SQLite(path)
    with pytest.raises(StoreError, match="opening it for too long"):
        get(store)
    holder.kill()
    holder.communicate()
    assert get(store, bytes(20)) is not None
    run(store.close())
