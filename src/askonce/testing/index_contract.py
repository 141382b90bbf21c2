"""What every index and every ledger promise, as tests. One of your own proves itself so:

class TestMyIndex(IndexContract):
    def make_index(self, folder: Path, **options: Any) -> Index:
        return MyIndex(folder / "wordings", **options)

class TestMyLedger(LedgerContract):
    def make_ledger(self, folder: Path) -> Ledger:
        return MyLedger(folder / "counts")

What several processes share keeps the promises of `SharedIndexContract` and `SharedLedgerContract`
too, and what is on a server those of `ServedIndexContract`.
"""  # noqa: D400

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import numpy
import pytest
from numpy.typing import NDArray

from askonce.errors import AskonceError, ConfigError
from askonce.semantic.contract import Index, Ledger, Wording

DIMENSION = 48

HERE, THERE = b"\x00" * 20, b"\xff" * 20
"""Two scopes."""

TEXTS = (
    "",
    "What is RAG?",
    "d\u00e9j\u00e0 vu \u4f60\u597d \U0001f600 \u202eabc",
    "two\nlines\r\n\tand a tab",
    "a NUL \x00 in the middle",
    'it\'s "quoted", {braces}, [brackets], | @field:* and a \\ backslash; DROP TABLE',
    "x" * 10_240,
)

KEYS = (bytes(20), b"\xff" * 20, bytes(range(20)), b"a key that is text!!", b"\x00{\x7d:*\x00" * 3)

ACCURACY = 0.002
"""By which a cosine may be off: numbers in half precision have 11 bits."""

Vectors = NDArray[numpy.float32]


def at_random(count: int, seed: int = 1, dimension: int = DIMENSION) -> Vectors:
    """Make vectors of length 1 in directions of chance."""
    rows = numpy.random.default_rng(seed).standard_normal((count, dimension))
    made: Vectors = (rows / numpy.linalg.norm(rows, axis=1, keepdims=True)).astype(numpy.float32)
    return made


def near(vector: Vectors, cosine: float, seed: int = 7) -> Vectors:
    """Make a vector at this cosine to another one."""
    other = at_random(1, seed, len(vector))[0]
    other -= (other @ vector) * vector
    other /= numpy.linalg.norm(other)
    made: Vectors = cosine * vector + numpy.float32((1 - cosine**2) ** 0.5) * other
    return made


def key(number: int) -> bytes:
    """Make a key."""
    return number.to_bytes(4, "big") * 5


def wording(number: int, scope: bytes = HERE, **changed: Any) -> Wording:
    """Make a wording."""
    fields = {"key": key(number), "answer": key(number), "text": f"question {number}"}
    return Wording(scope=scope, **(fields | changed))


class IndexContract:
    """The promises. A subclass says how its index is made."""

    exact: ClassVar[int] = 200
    """Wordings of one scope up to which the nearest are found for certain."""

    def make_index(
        self,
        folder: Path,
        *,
        embedder: str,
        dimension: int,
        clock: Callable[[], float],
    ) -> Index:
        """Open the index that belongs to this folder, empty at first, for vectors of an embedder.

        `clock` says what the time is, in seconds since the epoch.
        """
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> Clock:
        """Tell the time, and let it be changed."""
        return Clock()

    @pytest.fixture
    def opened(self, tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Index]]:
        """Open indexes on one folder, and close them."""
        with ExitStack() as stack:

            def open_(embedder: str = "random-1", dimension: int = DIMENSION) -> Index:
                made = self.make_index(
                    tmp_path, embedder=embedder, dimension=dimension, clock=clock
                )
                stack.callback(made.close)
                return made

            yield open_

    @pytest.fixture
    def index(self, opened: Callable[..., Index]) -> Index:
        """Hand out an empty index."""
        return opened()

    # Finding

    def test_an_empty_index_finds_nothing(self, index: Index) -> None:
        assert list(index.nearest(HERE, at_random(1)[0], 5)) == []
        assert list(index.scan()) == []
        assert index.discard([key(1)]) == 0

    def test_the_nearest_come_first_with_their_cosines(self, index: Index) -> None:
        rows = at_random(self.exact)
        index.add([wording(n) for n in range(len(rows))], rows)
        for asked in at_random(5, seed=2):
            found = index.nearest(HERE, asked, 7)
            cosines = rows @ asked
            assert numbers(found) == [int(n) for n in numpy.argsort(-cosines)[:7]]
            for neighbour in found:
                right = cosines[int.from_bytes(neighbour.wording.key[:4], "big")]
                assert neighbour.similarity == pytest.approx(right, abs=ACCURACY)

    def test_an_equal_vector_has_cosine_1_and_an_opposite_one_minus_1(self, index: Index) -> None:
        row = at_random(1)[0]
        index.add([wording(1), wording(2)], numpy.stack([row, -row]))
        found = index.nearest(HERE, row, 2)
        assert [it.similarity for it in found] == pytest.approx([1, -1], abs=ACCURACY)

    def test_cosines_near_one_another_keep_their_order(self, index: Index) -> None:
        row = at_random(1)[0]
        steps = [0.99 - 0.01 * step for step in range(30)]
        index.add(
            [wording(n) for n in range(30)], numpy.stack([near(row, cosine) for cosine in steps])
        )
        found = index.nearest(HERE, row, 30)
        assert numbers(found) == list(range(30))
        assert [it.similarity for it in found] == pytest.approx(steps, abs=ACCURACY)

    @pytest.mark.parametrize("count", [1, 2, 3, 100])
    def test_no_more_than_asked_for_and_no_more_than_there_is(
        self, index: Index, count: int
    ) -> None:
        rows = at_random(3)
        index.add([wording(n) for n in range(3)], rows)
        assert len(index.nearest(HERE, rows[0], count)) == min(count, 3)

    def test_a_scope_is_never_answered_from_another(self, index: Index) -> None:
        rows = at_random(40)
        asked = at_random(1, seed=3)[0]
        index.add([wording(n) for n in range(40)], rows)
        index.add([wording(100 + n, THERE) for n in range(40)], numpy.stack([asked] * 40))
        found = index.nearest(HERE, asked, 5)
        assert numbers(found) == [int(n) for n in numpy.argsort(-(rows @ asked))[:5]]
        assert {it.wording.scope for it in found} == {HERE}
        assert list(index.nearest(b"\x01" * 20, asked, 5)) == []

    def test_scopes_that_look_alike_are_kept_apart(self, index: Index) -> None:
        scopes = [bytes(20), bytes(19) + b"\x01", b"a,b|c d-e{f}*g:h'i\"j", b"\xff\x00" * 10]
        row = at_random(1)
        for number, scope in enumerate(scopes):
            index.add([wording(number, scope)], row)
        for number, scope in enumerate(scopes):
            assert numbers(index.nearest(scope, row[0], 9)) == [number]

    # What comes back

    def test_a_wording_comes_back_whole(self, index: Index) -> None:
        rows = at_random(len(TEXTS))
        kept = [
            Wording(
                key(n),
                HERE,
                answer=bytes((n, 0, 255, 10)) * 5,
                text=text,
                expires=time.time() + 3600.5 if n % 2 else None,
                barred=n % 3 == 0,
            )
            for n, text in enumerate(TEXTS)
        ]
        index.add(kept, rows)
        for row, whole in zip(rows, kept, strict=True):
            assert index.nearest(HERE, row, 1)[0].wording == whole
        assert list(index.scan()) == kept

    def test_odd_keys_are_kept_apart(self, index: Index) -> None:
        rows = at_random(len(KEYS))
        index.add([wording(n, key=it) for n, it in enumerate(KEYS)], rows)
        for row, its in zip(rows, KEYS, strict=True):
            assert index.nearest(HERE, row, 1)[0].wording.key == its
        assert [it.key for it in index.scan()] == sorted(KEYS)
        assert index.discard(KEYS[:2]) == 2
        assert [it.key for it in index.scan()] == sorted(KEYS[2:])

    def test_what_is_asked_may_be_changed_afterwards(self, index: Index) -> None:
        rows = at_random(2)
        given = rows.copy()
        index.add([wording(0), wording(1)], given)
        given[:] = 0
        assert numbers(index.nearest(HERE, rows[1], 1)) == [1]

    # Replacing and dropping

    def test_adding_a_key_again_replaces_it(self, index: Index) -> None:
        before, after, other = at_random(3)
        index.add([wording(1), wording(2)], numpy.stack([before, other]))
        index.add([wording(1, text="another text", barred=True)], after[None])
        found = index.nearest(HERE, after, 1)[0]
        assert (found.wording.text, found.wording.barred) == ("another text", True)
        assert index.nearest(HERE, before, 9)[0].similarity < 0.9
        assert [it.key for it in index.scan()] == [key(1), key(2)]

    def test_a_key_that_moves_to_another_scope_leaves_the_first(self, index: Index) -> None:
        row = at_random(1)
        index.add([wording(1, HERE)], row)
        index.add([wording(1, THERE)], row)
        assert list(index.nearest(HERE, row[0], 5)) == []
        assert numbers(index.nearest(THERE, row[0], 5)) == [1]

    def test_of_one_key_given_twice_the_later_stays(self, index: Index) -> None:
        rows = at_random(2)
        index.add([wording(1, text="first"), wording(1, text="second")], rows)
        assert [it.text for it in index.scan()] == ["second"]
        assert index.nearest(HERE, rows[1], 5)[0].similarity == pytest.approx(1, abs=ACCURACY)
        assert len(index.nearest(HERE, rows[0], 5)) == 1

    def test_discarded_wordings_are_found_no_more(self, index: Index) -> None:
        rows = at_random(20)
        index.add([wording(n) for n in range(20)], rows)
        assert index.nearest(HERE, rows[3], 1)[0].wording.key == key(3)
        assert index.discard([key(3), key(4), key(77), key(3)]) == 2
        for row in rows[3:5]:
            found = numbers(index.nearest(HERE, row, 20))
            assert len(found) == 18
            assert not {3, 4} & set(found)
        index.add([wording(3)], rows[3:4])
        assert numbers(index.nearest(HERE, rows[3], 1)) == [3]

    def test_discarding_nearly_all_leaves_the_rest_to_be_found(self, index: Index) -> None:
        rows = at_random(150)
        index.add([wording(n) for n in range(150)], rows)
        assert len(index.nearest(HERE, rows[0], 5)) == 5
        assert index.discard([key(n) for n in range(1, 149)]) == 148
        assert numbers(index.nearest(HERE, rows[0], 5)) == [0, 149]

    def test_adding_and_discarding_nothing_is_allowed(self, index: Index) -> None:
        index.add([], numpy.empty((0, DIMENSION), numpy.float32))
        assert index.discard([]) == 0
        assert list(index.scan()) == []

    # Expiry

    def test_what_has_expired_is_not_found(self, index: Index, clock: Clock) -> None:
        rows = at_random(3)
        now = clock()
        index.add(
            [wording(0, expires=now - 1), wording(1, expires=now + 600), wording(2)],
            rows,
        )
        assert set(numbers(index.nearest(HERE, rows[0], 5))) == {1, 2}
        assert [it.key for it in index.scan()] == [key(1), key(2)]
        clock.now = now + 601
        assert set(numbers(index.nearest(HERE, rows[1], 5))) == {2}
        assert [it.key for it in index.scan()] == [key(2)]

    def test_what_has_expired_does_not_stand_before_the_rest(
        self, index: Index, clock: Clock
    ) -> None:
        row, now = at_random(1)[0], clock()
        rows = numpy.stack([near(row, 0.99 - n / 1000, seed=100 + n) for n in range(120)])
        index.add(
            [wording(n, expires=now + (1000 if n >= 110 else 10)) for n in range(120)],
            rows,
        )
        assert len(index.nearest(HERE, row, 3)) == 3
        clock.now = now + 11
        assert set(numbers(index.nearest(HERE, row, 50))) == set(range(110, 120))

    def test_what_had_expired_can_be_added_again(self, index: Index, clock: Clock) -> None:
        row = at_random(1)
        index.add([wording(1, expires=clock() - 5)], row)
        assert list(index.nearest(HERE, row[0], 1)) == []
        index.add([wording(1, expires=clock() + 500)], row)
        assert numbers(index.nearest(HERE, row[0], 1)) == [1]

    # Listing

    @pytest.mark.parametrize("limit", [1, 3, 7, 50])
    def test_pages_of_a_scan_neither_skip_nor_repeat(self, index: Index, limit: int) -> None:
        count = 40
        order = [(n * 17) % count for n in range(count)]
        index.add([wording(n, THERE if n % 2 else HERE) for n in order], at_random(count))
        seen: list[bytes] = []
        while page := index.scan(seen[-1] if seen else b"", limit):
            assert len(page) <= limit
            seen += [it.key for it in page]
        assert seen == [key(n) for n in range(count)]

    # Several at once

    def test_threads_share_an_index(self, index: Index) -> None:
        rows = at_random(160, seed=5)

        def work(mine: int) -> None:
            for n in range(mine * 20, mine * 20 + 20):
                index.add([wording(n)], rows[n : n + 1])
                found = index.nearest(HERE, rows[n], 3)
                assert found[0].wording.key == key(n)
                if n % 4 == 0:
                    assert index.discard([key(n)]) == 1

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(work, n) for n in range(8)]:
                done.result()
        left = {n for n in range(160) if n % 4}
        assert {it.key for it in index.scan()} == {key(n) for n in left}
        assert set(numbers(index.nearest(HERE, rows[0], 200))) == left

    # What goes wrong

    @pytest.mark.parametrize("shape", [(1, DIMENSION - 1), (2, DIMENSION), (DIMENSION,)])
    def test_vectors_that_do_not_fit_are_refused(self, index: Index, shape: Sequence[int]) -> None:
        with pytest.raises(ConfigError):
            index.add([wording(1)], numpy.ones(shape, numpy.float32))
        assert list(index.scan()) == []

    def test_a_question_that_does_not_fit_is_refused(self, index: Index) -> None:
        index.add([wording(1)], at_random(1))
        with pytest.raises(ConfigError):
            index.nearest(HERE, numpy.ones(DIMENSION + 1, numpy.float32), 1)

    @pytest.mark.parametrize("number", [numpy.nan, numpy.inf, -numpy.inf])
    def test_numbers_that_are_not_finite_are_refused(self, index: Index, number: float) -> None:
        rows = at_random(2)
        rows[1, 3] = number
        with pytest.raises(ConfigError):
            index.add([wording(0), wording(1)], rows)
        with pytest.raises(ConfigError):
            index.nearest(HERE, rows[1], 1)
        assert list(index.scan()) == []

    def test_closing_twice_is_allowed(self, index: Index) -> None:
        index.add([wording(1)], at_random(1))
        index.close()
        index.close()

    @pytest.mark.parametrize("used", [True, False], ids=["used", "unused"])
    def test_a_closed_index_refuses_every_verb(self, index: Index, used: bool) -> None:
        row = at_random(1)
        if used:
            index.add([wording(1)], row)
        index.close()
        for verb in (
            lambda: index.add([wording(1)], row),
            lambda: index.nearest(HERE, row[0], 1),
            lambda: index.discard([key(1)]),
            lambda: index.scan(),  # noqa: PLW0108
        ):
            with pytest.raises(AskonceError):
                verb()


class SharedIndexContract(IndexContract):
    """The promises of an index that is one to all who make it in one folder."""

    def test_two_on_one_place_see_what_the_other_does(self, opened: Callable[..., Index]) -> None:
        one, other, rows = opened(), opened(), at_random(6)
        assert list(one.nearest(HERE, rows[0], 9)) == list(other.nearest(HERE, rows[0], 9)) == []
        one.add([wording(n) for n in range(3)], rows[:3])
        assert set(numbers(other.nearest(HERE, rows[0], 9))) == {0, 1, 2}
        other.add([wording(n) for n in range(3, 6)], rows[3:])
        assert set(numbers(one.nearest(HERE, rows[0], 9))) == set(range(6))
        assert one.discard([key(4)]) == 1
        assert set(numbers(other.nearest(HERE, rows[0], 9))) == {0, 1, 2, 3, 5}
        other.add([wording(0, barred=True)], rows[:1])
        assert one.nearest(HERE, rows[0], 1)[0].wording.barred
        assert len(one.scan()) == len(other.scan()) == 5

    def test_what_was_added_outlives_the_one_that_added_it(
        self, opened: Callable[..., Index]
    ) -> None:
        rows = at_random(50)
        first = opened()
        first.add([wording(n) for n in range(50)], rows)
        first.nearest(HERE, rows[0], 1)
        first.discard([key(7)])
        first.close()
        again = opened()
        assert numbers(again.nearest(HERE, rows[3], 1)) == [3]
        assert len(again.scan()) == 49

    def test_vectors_of_two_embedders_are_never_mixed(self, opened: Callable[..., Index]) -> None:
        rows = at_random(4)
        old = opened(embedder="random-1")
        old.add([wording(n) for n in range(4)], rows)
        new = opened(embedder="random-2")
        assert list(new.nearest(HERE, rows[0], 9)) == []
        assert list(new.scan()) == []
        new.add([wording(7)], rows[:1])
        assert numbers(new.nearest(HERE, rows[0], 9)) == [7]
        longer = opened(embedder="random-2", dimension=DIMENSION + 16)
        asked = at_random(1, dimension=DIMENSION + 16)
        assert list(longer.nearest(HERE, asked[0], 9)) == []
        longer.add([wording(8)], asked)
        assert numbers(longer.nearest(HERE, asked[0], 9)) == [8]
        assert 7 not in numbers(old.nearest(HERE, rows[0], 9))
        assert numbers(new.nearest(HERE, rows[0], 9)) in ([7], [])


class ServedIndexContract(SharedIndexContract):
    """The promises of an index that a server keeps."""

    def make_dead(self) -> Index:
        """Open an index whose server does not answer."""
        raise NotImplementedError

    def test_a_dead_server_is_an_error_within_a_second(self) -> None:
        dead = self.make_dead()
        row = at_random(1)
        for verb in (
            lambda: dead.add([wording(1)], row),
            lambda: dead.nearest(HERE, row[0], 1),
            lambda: dead.discard([key(1)]),
            lambda: dead.scan(),  # noqa: PLW0108
        ):
            began = time.monotonic()
            with pytest.raises(AskonceError):
                verb()
            assert time.monotonic() - began < 1
        dead.close()


class LedgerContract:
    """The promises. A subclass says how its ledger is made."""

    def make_ledger(self, folder: Path) -> Ledger:
        """Open the ledger that belongs to this folder, empty at first."""
        raise NotImplementedError

    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Ledger:
        """Hand out an empty ledger."""
        return self.make_ledger(tmp_path)

    def test_an_empty_ledger_has_no_counts(self, ledger: Ledger) -> None:
        assert dict(ledger.read()) == {}
        ledger.add({})
        assert dict(ledger.read()) == {}

    def test_counts_add_up(self, ledger: Ledger) -> None:
        ledger.add({"b/3/right": 2, "b/3/wrong": 1})
        ledger.add({"b/3/right": 5, "\u00e4/\x00 '": 1})
        assert dict(ledger.read()) == {"b/3/right": 7, "b/3/wrong": 1, "\u00e4/\x00 '": 1}
        ledger.add({"b/3/right": -7})
        assert ledger.read()["b/3/right"] == 0

    def test_threads_lose_nothing(self, ledger: Ledger) -> None:
        def work(_: int) -> None:
            for _turn in range(25):
                ledger.add({"all": 1, "twice": 2})

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        assert dict(ledger.read()) == {"all": 200, "twice": 400}


class SharedLedgerContract(LedgerContract):
    """The promises of a ledger that is one to all processes."""

    def program(self, folder: Path) -> str:
        """Write Python that opens it in another process as `ledger`."""
        raise NotImplementedError

    def test_four_processes_lose_nothing(self, tmp_path: Path) -> None:
        program = self.program(tmp_path)
        code = f"{program}\nfor _ in range(50):\n    ledger.add({{'all': 1, 'twice': 2}})\n"
        command = [sys.executable, "-c", code]
        processes = [subprocess.Popen(command) for _ in range(4)]  # noqa: S603 (a test's own text)
        assert [process.wait(60) for process in processes] == [0] * 4
        assert dict(self.make_ledger(tmp_path).read()) == {"all": 200, "twice": 400}


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def numbers(found: Sequence[Any]) -> list[int]:
    """Return the numbers of the wordings that were found."""
    return [int.from_bytes(it.wording.key[:4], "big") for it in found]
