"""An index in files: its graphs, its journal, what damages them, and who else uses them."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest

from askonce.errors import StoreError
from askonce.indexes import embedded, growth
from askonce.indexes.embedded import Embedded
from askonce.stores.sqlite import SQLite
from askonce.testing.index_contract import HERE, THERE, Clock, at_random, key, near, numbers
from askonce.testing.index_contract import wording as worded

SMALL = 16
FIRST, MANY = 500, 900
"""Wordings from which there is a graph in these tests, and of a scope that has one."""

ADDING = """
import sys
from askonce.indexes.embedded import Embedded
from askonce.testing.index_contract import at_random, wording

index = Embedded(sys.argv[1], embedder="any", dimension=16, busy=30)
first, count = int(sys.argv[2]), int(sys.argv[3])
rows = at_random(count, seed=first, dimension=16)
for n in range(count):
    index.add([wording(first + n)], rows[n : n + 1])
    print(first + n, flush=True)
"""


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Let graphs begin early, as those of the size they are meant for take long to build."""
    for module in (growth, embedded):
        monkeypatch.setattr(module, "FIRST", FIRST)
        monkeypatch.setattr(module, "MORE", 200)
    monkeypatch.setattr(growth, "UNSAVED", 200)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.db.wordings"


@pytest.fixture
def opening(path):
    made = []

    def open_(where=path, embedder="any", dimension=SMALL, **options):
        index = Embedded(where, embedder=embedder, dimension=dimension, busy=5, **options)
        made.append(index)
        return index

    yield open_
    for index in made:
        index.close()


@pytest.fixture(scope="module")
def rows():
    return at_random(MANY, dimension=SMALL)


def fill(index, rows, first=0):
    index.add([worded(first + n) for n in range(len(rows))], rows)


def grown(index, rows):
    """Fill it, and let the graph grow."""
    fill(index, rows)
    index.nearest(HERE, rows[0], 1)
    assert index.settle(60)
    return index


def graphs_of(path):
    return list(path.parent.glob(f"{path.name}-graph-*"))


def assert_finds(index, rows, places):
    for place in places:
        assert numbers(index.nearest(HERE, rows[place], 1)) == [place]


SOME = range(0, MANY, 19)


# Graphs


def test_a_large_scope_is_found_in_a_graph_as_it_was_without(opening, rows):
    index = opening()
    fill(index, rows)
    asked = [near(rows[n], 0.95, seed=n) for n in SOME]
    before = [index.nearest(HERE, it, 5) for it in asked]
    assert index.settle(60)
    scope = index._scopes[HERE]
    assert len(scope.graph) == MANY
    assert len(scope.matrix) == 0
    after = [index.nearest(HERE, it, 5) for it in asked]
    # A graph misses a neighbour now and then, and never the one at 0.95.
    assert [numbers(it)[0] for it in after] == [numbers(it)[0] for it in before] == list(SOME)
    same = sum(numbers(one) == numbers(other) for one, other in zip(before, after))
    assert same >= 0.9 * len(asked)
    assert after[0][0].similarity == before[0][0].similarity


def test_what_is_added_to_a_large_scope_is_found_at_once(opening, rows):
    one, other = grown(opening(), rows), opening()
    assert_finds(other, rows, [1])
    new = at_random(3, seed=9, dimension=SMALL)
    other.add([worded(MANY + n) for n in range(3)], new)
    assert numbers(one.nearest(HERE, new[1], 1)) == [MANY + 1]


def test_what_is_dropped_from_a_large_scope_is_found_no_more(opening, rows):
    one, other = grown(opening(), rows), opening()
    assert other.discard([key(n) for n in range(0, 40, 2)]) == 20
    for n in range(0, 40, 2):
        assert n not in numbers(one.nearest(HERE, rows[n], 5))
    assert_finds(one, rows, range(1, 40, 2))


def test_a_graph_that_is_mostly_gone_is_built_anew(opening, rows):
    index = grown(opening(), rows)
    assert index.discard([key(n) for n in range(MANY) if n % 9]) == 800
    left = range(0, MANY, 9)
    for _ in range(3):
        for n in left:
            index.nearest(HERE, rows[n], 5)
        assert index.settle(60)
    assert len(index._scopes[HERE].graph) < 200
    assert_finds(index, rows, left)


def test_a_graph_is_saved_and_found_again(opening, rows, path):
    grown(opening(), rows).close()
    assert len(graphs_of(path)) == 1
    again = opening()
    assert_finds(again, rows, SOME)
    assert len(again._scopes[HERE].graph) == MANY
    assert again.settle(0)  # there was nothing left to do


def test_a_graph_that_is_behind_is_caught_up(opening, rows, path):
    grown(opening(), rows[: FIRST + 100]).close()
    one = opening()
    fill(one, rows[FIRST + 100 :], FIRST + 100)
    one.discard([key(3)])
    one.close()
    again = opening()
    assert_finds(again, rows, [n for n in SOME if n != 3])
    assert 3 not in numbers(again.nearest(HERE, rows[3], 5))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:100] + b"\xff" + data[101:],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-3],
        lambda data: b"",
        lambda data: b"not a graph" * 1000,
        lambda data: data[:-60] + bytes(48) + data[-12:],
    ],
    ids=["a bit", "cut", "cut a little", "empty", "nonsense", "its own words"],
)
def test_a_damaged_graph_is_built_anew_with_one_warning(opening, rows, path, caplog, damage):
    grown(opening(), rows).close()
    (graph,) = graphs_of(path)
    graph.write_bytes(damage(graph.read_bytes()))
    again = opening()
    with caplog.at_level(logging.WARNING, "askonce"):
        assert_finds(again, rows, SOME)
        assert again.settle(60)
    assert_finds(again, rows, SOME)
    assert len(caplog.records) == 1
    assert "built anew" in caplog.text


def test_the_graph_of_another_file_is_not_taken(opening, rows, path, tmp_path, caplog):
    other = tmp_path / "other" / path.name
    grown(opening(other), -rows).close()
    fill(opening(), rows)
    (graph,) = graphs_of(other)
    (path.parent / graph.name).write_bytes(graph.read_bytes())
    again = opening()
    assert_finds(again, rows, SOME)
    assert again.settle(60)
    assert_finds(again, rows, SOME)
    assert not caplog.records


def test_graphs_of_scopes_that_are_gone_are_removed(opening, rows, path):
    index = grown(opening(), rows)
    index.discard([key(n) for n in range(MANY)])
    there = [worded(n, THERE) for n in range(MANY)]
    index.add(there, rows)
    index.nearest(THERE, rows[0], 1)
    assert index.settle(60)
    assert len(graphs_of(path)) == 1


def test_many_threads_search_while_a_graph_grows(opening, rows):
    index = opening()
    fill(index, rows)

    def work(seed):
        order = numpy.random.default_rng(seed).permutation(MANY)[:100]
        assert_finds(index, rows, order.tolist())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert index.settle(60)


def test_a_program_that_ends_while_a_graph_grows_ends_well(path):
    code = (
        "import sys\nfrom askonce.indexes.embedded import Embedded\n"
        "from askonce.testing.index_contract import HERE, at_random, wording\n"
        "rows = at_random(9000, dimension=16)\n"
        "index = Embedded(sys.argv[1], embedder='any', dimension=16)\n"
        "index.add([wording(n) for n in range(9000)], rows)\n"
        "print(len(index.nearest(HERE, rows[0], 3)))\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


def test_matrices_of_many_scopes_are_held_within_bounds(opening, monkeypatch):
    monkeypatch.setattr(embedded, "HELD", 20_000)
    index = opening()
    rows = at_random(64, dimension=SMALL)
    scopes = [bytes((n,)) * 20 for n in range(30)]
    for n, scope in enumerate(scopes):
        index.add([worded(100 * n + it, scope) for it in range(64)], rows)
    for _ in range(2):
        for n, scope in enumerate(scopes):
            assert numbers(index.nearest(scope, rows[5], 1)) == [100 * n + 5]
    assert sum(scope.matrix.size for scope in index._scopes.values()) < 30_000


# The journal


def test_only_their_owner_may_read_the_files(opening, rows, path):
    index = grown(opening(), rows)
    index.ledger.add({"any": 1})
    index.close()
    modes = {it.name: stat.S_IMODE(it.stat().st_mode) for it in path.parent.iterdir()}
    assert len(modes) >= 3
    assert set(modes.values()) == {0o600}


def test_nothing_is_made_before_the_first_use(opening, path):
    opening().close()
    assert list(path.parent.iterdir()) == []


def test_what_was_added_outlives_kill_9(path, opening):
    command = [sys.executable, "-c", ADDING, str(path), "0", "100000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    told = [process.stdout.readline() for _ in range(300)]
    process.send_signal(signal.SIGKILL)
    told += process.stdout.read().splitlines(keepends=True)
    process.wait()
    process.stdout.close()
    last = int([line for line in told if line.endswith(b"\n")][-1])
    found = {it.key for it in opening().scan(limit=10**6)}
    assert last >= 299
    assert {key(n) for n in range(last + 1)} <= found


def test_processes_add_at_once_and_lose_nothing(path, opening):
    index = opening()
    index.nearest(HERE, at_random(1, dimension=SMALL)[0], 1)
    commands = [[sys.executable, "-c", ADDING, str(path), str(n * 1000), "200"] for n in range(4)]
    processes = [subprocess.Popen(it, stdout=subprocess.DEVNULL) for it in commands]
    assert [it.wait(120) for it in processes] == [0] * 4
    for n in range(4):
        rows = at_random(200, seed=n * 1000, dimension=SMALL)
        for at in range(0, 200, 20):
            assert numbers(index.nearest(HERE, rows[at], 1)) == [n * 1000 + at]
    assert len(index.scan(limit=1000)) == 800


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of forks with threads
def test_a_fork_goes_on_by_itself(opening, rows):
    index = opening()
    fill(index, rows)
    index.nearest(HERE, rows[0], 1)  # a graph begins to grow
    new = at_random(2, seed=5, dimension=SMALL)
    child = os.fork()
    if not child:
        code = 1
        try:
            index.add([worded(MANY)], new[:1])
            right = numbers(index.nearest(HERE, new[0], 1)) == [MANY]
            right = right and numbers(index.nearest(HERE, rows[7], 1)) == [7]
            code = 0 if right else 2
        finally:
            os._exit(code)
    index.add([worded(MANY + 1)], new[1:])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert numbers(index.nearest(HERE, new[0], 1)) == [MANY]
    assert numbers(index.nearest(HERE, new[1], 1)) == [MANY + 1]
    assert index.settle(60)


def test_the_oldest_are_dropped_above_the_limit(opening, path):
    index = opening(limit="1MB")
    rows = at_random(100, dimension=SMALL)
    for turn in range(100):
        index.add([worded(turn * 100 + n, text="x" * 200) for n in range(100)], rows)
    assert path.stat().st_size < 1.3e6
    kept = {int.from_bytes(it.key[:4], "big") for it in index.scan(limit=10**6)}
    assert kept == set(range(min(kept), 10_000))
    assert 1000 < len(kept) < 5000


def test_what_has_expired_is_dropped_as_others_come(opening, path):
    clock = Clock()
    index = opening(clock=clock)
    rows = at_random(50, dimension=SMALL)
    index.add([worded(n, expires=clock.now + 10) for n in range(50)], rows)
    clock.now += 11
    index.add([worded(99)], rows[:1])
    index.close()
    assert count(path) == 1


def test_wordings_of_another_embedder_are_dropped_as_new_ones_come(opening, path):
    rows = at_random(100, dimension=SMALL)
    fill(opening(embedder="old"), rows)
    index = opening(embedder="new")
    for n in range(5):
        index.add([worded(1000 + n)], rows[n : n + 1])
    assert len(index.scan()) == 5
    index.close()
    assert count(path) == 5


def count(path):
    database = sqlite3.connect(path)
    (found,) = database.execute("SELECT count(*) FROM wordings").fetchone()
    database.close()
    return found


def test_a_row_that_was_changed_by_anybody_else_is_not_found(opening, path):
    rows = at_random(3, dimension=SMALL)
    fill(opening(), rows)
    database = sqlite3.connect(path)
    database.execute("UPDATE wordings SET answer = x'00' WHERE key = ?", (key(0),))
    database.execute("UPDATE wordings SET barred = 'no' WHERE key = ?", (key(1),))
    database.commit()
    database.close()
    index = opening()
    assert numbers(index.nearest(HERE, rows[0], 5)) == [2]
    assert [it.key for it in index.scan()] == [key(2)]


@pytest.mark.parametrize("first", [0, 100, 30_000])
def test_a_damaged_journal_is_set_aside_with_one_warning(opening, path, caplog, first):
    rows = at_random(300, dimension=SMALL)
    before = opening()
    fill(before, rows)
    before.ledger.add({"any": 1})
    before.close()
    data = path.read_bytes()
    path.write_bytes(data[:first] + os.urandom(len(data) - first))
    index = opening()
    with caplog.at_level(logging.WARNING, "askonce"):
        for n in range(0, 300, 10):
            assert numbers(index.nearest(HERE, rows[n], 1)) in ([n], [])
        fill(index, rows)
        assert numbers(index.nearest(HERE, rows[9], 1)) == [9]
    assert len(caplog.records) == 1
    assert len(list(path.parent.glob("*.damaged-*"))) >= 1


@pytest.mark.parametrize("content", [b"", b"short", os.urandom(9000)])
def test_a_file_that_is_no_journal_of_ours(opening, path, content):
    path.write_bytes(content)
    index = opening()
    if content:
        with pytest.raises(StoreError, match="choose another file"):
            index.scan()
        assert path.read_bytes() == content
    else:
        assert index.scan() == []


def test_the_stores_own_file_is_refused(opening, tmp_path):
    from askonce.blocking import run

    path = tmp_path / "answers.db"
    store = SQLite(path)
    run(store.invalidate("any", bytes(16)))
    run(store.close())
    before = path.read_bytes()
    with pytest.raises(StoreError, match="choose another file"):
        opening(path).scan()
    assert path.read_bytes() == before


def test_a_file_of_a_newer_askonce_is_left_alone(opening, path):
    fill(opening(), at_random(3, dimension=SMALL))
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="newer askonce"):
        opening().scan()
    assert count(path) == 3


def test_a_file_that_was_replaced_is_noticed(opening, path, tmp_path):
    clock = Clock()
    index = opening(clock=clock)
    rows = at_random(40, dimension=SMALL)
    fill(index, rows[:20])
    assert_finds(index, rows, [3])
    other = opening(tmp_path / "other")
    fill(other, rows[20:], 500)
    other.close()
    for name in ("-wal", "-shm"):
        path.with_name(path.name + name).unlink(missing_ok=True)
    (tmp_path / "other").rename(path)
    clock.now += 2
    assert numbers(index.nearest(HERE, rows[20], 1)) == [500]
    assert numbers(index.nearest(HERE, rows[3], 20))[0] >= 500
    path.unlink()
    clock.now += 2
    assert list(index.nearest(HERE, rows[20], 1)) == []
    fill(index, rows[:2])
    assert_finds(index, rows, [1])
