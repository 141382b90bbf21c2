from __future__ import annotations

import gc
import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from askonce.blocking import run
from askonce.stores.leases import SPAN, FileLeases, RowLeases
from askonce.stores.sqlite import SQLite

KEY, OTHER = bytes(range(20)), bytes(range(1, 21))

PROGRAM = """
import os, sys, time
from askonce.blocking import run
from askonce.stores.leases import FileLeases
leases, key = FileLeases(sys.argv[1]), bytes(range(20))
for order in sys.stdin:
    print(eval(order), flush=True)
"""


class Process:
    """Another process that does with its leases as it is told."""

    def __init__(self, path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, order: str) -> str:
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def acquire(self) -> bool:
        return self("run(leases.acquire(key))") == "True"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "answers.db-leases"


@pytest.fixture
def process(path):
    other = Process(path)
    yield other
    other.kill()


@pytest.fixture(params=["file", "rows"])
def pair(request, path):
    """The leases of two caches, in one process, on one store."""
    if request.param == "file":
        yield FileLeases(path), FileLeases(path)
    else:
        stores = [SQLite(path.parent / "answers.db", busy=5) for _ in range(2)]
        yield tuple(RowLeases(store._database) for store in stores)
        for store in stores:
            run(store.close())


# What both kinds promise


def test_a_lease_has_one_holder_until_it_is_given_back(pair):
    one, two = pair
    assert run(one.acquire(KEY))
    assert not run(one.acquire(KEY))
    assert not run(two.acquire(KEY))
    one.release(KEY, failed=False)
    assert run(two.acquire(KEY))
    assert not run(one.acquire(KEY))


def test_leases_of_two_keys_have_nothing_to_do_with_one_another(pair):
    one, two = pair
    assert run(one.acquire(KEY))
    assert run(two.acquire(OTHER))
    one.release(KEY, failed=False)
    assert not run(one.acquire(OTHER))


def test_who_does_not_hold_a_lease_cannot_give_it_back(pair):
    one, _ = pair
    one.release(KEY, failed=True)
    assert one.failures(KEY) == 0
    assert run(one.acquire(KEY))


def test_of_many_threads_one_gets_the_lease(pair):
    with ThreadPoolExecutor(16) as pool:
        for turn in range(20):
            key = bytes((turn,)) * 20
            got = list(pool.map(lambda n: run(pair[n % 2].acquire(key)), range(16)))  # noqa: B023
            assert sum(got) == 1


def test_a_failed_leader_is_told_to_all_who_wait_and_a_successful_one_is_not(pair):
    one, two = pair
    before = two.failures(KEY)
    assert run(one.acquire(KEY))
    one.release(KEY, failed=False)
    assert two.failures(KEY) == before
    assert run(one.acquire(KEY))
    one.release(KEY, failed=True)
    after = two.failures(KEY)
    assert after != before
    assert two.failures(OTHER) == before
    assert run(two.acquire(KEY))
    two.release(KEY, failed=True)
    assert one.failures(KEY) != after


def test_a_lease_knows_the_thread_of_this_process_that_took_it(pair):
    one, two = pair
    assert two.holder(KEY) is None
    assert run(one.acquire(KEY))
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(lambda: (threading.get_ident(), run(two.acquire(OTHER)))).result()[0]
    assert not run(two.acquire(KEY))
    assert two.holder(KEY) == threading.get_ident()
    assert not run(one.acquire(OTHER))
    assert one.holder(OTHER) == other
    one.release(KEY, failed=False)
    assert two.holder(KEY) is None


# The lock file


def test_a_lease_of_another_process_has_no_thread_here(path, process):
    leases = FileLeases(path)
    assert process.acquire()
    assert not run(leases.acquire(KEY))
    assert leases.holder(KEY) is None


def test_nothing_is_touched_before_the_first_lease(path, tmp_path):
    leases = FileLeases(path)
    leases.release(KEY, failed=True)
    assert list(tmp_path.iterdir()) == []
    assert run(leases.acquire(KEY))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_another_process_is_excluded_until_the_lease_is_given_back(path, process):
    leases = FileLeases(path)
    assert run(leases.acquire(KEY))
    assert not process.acquire()
    leases.release(KEY, failed=True)
    assert process("leases.failures(key)") == "1"
    assert process.acquire()
    assert not run(leases.acquire(KEY))
    process("leases.release(key, failed=True)")
    assert leases.failures(KEY) == 2
    assert run(leases.acquire(KEY))


def test_a_holder_that_is_killed_frees_its_lease_at_once(path, process):
    leases = FileLeases(path)
    assert process.acquire()
    assert not run(leases.acquire(KEY))
    before = leases.failures(KEY)
    process.kill()
    assert run(leases.acquire(KEY))
    assert leases.failures(KEY) == before


def test_a_cache_that_goes_away_does_not_take_the_leases_of_another_with_it(path, process):
    one, two = FileLeases(path), FileLeases(path)
    assert run(one.acquire(KEY))
    assert run(two.acquire(OTHER))
    del two
    gc.collect()
    assert not process.acquire()


def test_two_names_of_one_file_share_its_leases(path, process, tmp_path):
    one = FileLeases(path)
    assert run(one.acquire(KEY))
    (tmp_path / "link").symlink_to(path.parent)
    two = FileLeases(tmp_path / "link" / path.name)
    assert not run(two.acquire(KEY))
    assert run(two.acquire(OTHER))
    del two
    gc.collect()
    assert not process.acquire()


def test_the_last_cache_that_goes_away_frees_its_leases(path, process):
    leases = FileLeases(path)
    assert run(leases.acquire(KEY))
    assert not process.acquire()
    del leases
    gc.collect()
    assert process.acquire()


def test_a_deleted_lock_file_is_followed_by_a_new_one(path, process):
    leases = FileLeases(path)
    assert run(leases.acquire(KEY))
    leases.release(KEY, failed=False)
    path.unlink()
    assert process.acquire()
    leases._file._looked -= 1.0
    assert not run(leases.acquire(KEY))


def test_where_there_is_no_place_for_a_file_every_lease_is_granted(path, tmp_path):
    (tmp_path / "cache").write_text("in the way")
    one, two = FileLeases(path), FileLeases(path)
    assert run(one.acquire(KEY))
    assert run(two.acquire(KEY))
    assert one.failures(KEY) == 0
    one.release(KEY, failed=True)


def test_a_child_holds_none_of_its_parents_leases_and_ends_none(path, process):
    program = (
        "import os, sys\n"
        "from askonce.blocking import run\n"
        "from askonce.stores.leases import FileLeases\n"
        "key, other = bytes(range(20)), bytes(range(1, 21))\n"
        "leases = FileLeases(sys.argv[1]); assert run(leases.acquire(key))\n"
        "if not os.fork():\n"
        "    assert not run(leases.acquire(key))\n"
        "    leases.release(key, failed=True)\n"
        "    assert leases.failures(key) == 0\n"
        "    assert run(leases.acquire(other)); leases.release(other, failed=False)\n"
        "    assert run(leases.acquire(other)); sys.exit()\n"
        "assert os.wait()[1] == 0\n"
        "assert run(leases.acquire(other))\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout.readline() == b"ready\n"
    assert not process.acquire()
    parent.communicate(b"\n")
    assert parent.returncode == 0
    assert process.acquire()


def test_the_lock_file_costs_one_descriptor_and_no_room(path):
    before = len(os.listdir("/proc/self/fd"))
    leases = [FileLeases(path) for _ in range(5)]
    for number, it in enumerate(leases * 20):
        assert run(it.acquire(number.to_bytes(1, "big") * 20))
    assert len(os.listdir("/proc/self/fd")) == before + 1
    assert path.stat().st_size == 0


# Rows


def test_a_row_that_was_left_behind_is_nobodys_after_a_minute(tmp_path):
    now = [1000.0]
    store = SQLite(tmp_path / "answers.db")
    one, two = (RowLeases(store._database, lambda: now[0]) for _ in range(2))
    assert run(one.acquire(KEY))
    now[0] += SPAN
    assert not run(two.acquire(KEY))
    now[0] += 1
    assert run(two.acquire(KEY))
    one.release(KEY, failed=False)
    assert not run(one.acquire(KEY))
    run(store.close())


def test_rows_of_a_store_that_fails_are_granted(tmp_path):
    (tmp_path / "place").write_text("in the way")
    store = SQLite(tmp_path / "place" / "answers.db")
    leases = RowLeases(store._database)
    assert run(leases.acquire(KEY))
    assert leases.failures(KEY) == 0
    leases.release(KEY, failed=True)
