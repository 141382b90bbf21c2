"""Measure the indexes of wordings: lookups, inserts, opening, memory, and how much is found.

    python bench/indexes.py                        each index that can be had, 10,000 wordings
    python bench/indexes.py --sizes 100000         another number
    python bench/indexes.py --only embedded --sizes 10000 100000 1000000

The vectors are made by chance, in 384 dimensions, and clustered like those of sentences: topics,
and few directions that matter much. A million take a quarter of an hour and 4 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy

import report
from askonce.indexes.embedded import Embedded
from askonce.indexes.memory import Memory
from askonce.indexes.pgvector import PgVector
from askonce.indexes.redisearch import RediSearch
from askonce.indexes.vector_sets import VectorSets
from askonce.semantic.contract import Wording
from askonce.testing import binaries, postgres
from askonce.testing.servers import Server
from rows import Budget, Row, failure
from timing import quantile

DIMENSION = 384
SCOPE = b"s" * 20
COUNT = 10
"""Neighbours asked for."""
ASKED = 1000
"""Lookups timed; of the first 200 it is known what is nearest."""
ALONE = 1000
"""Wordings added one at a time; the others come by hundreds."""
WAIT = 7200.0
SPACE = {"embedder": "by chance", "dimension": DIMENSION}
PATIENT = "?timeout=10&connect_timeout=10"

OPEN = """
import json, resource, sys, time
import numpy
from askonce.indexes.embedded import Embedded

asked = numpy.load(sys.argv[2])
began = time.perf_counter()
index = Embedded(sys.argv[1], embedder="by chance", dimension=384)
index.nearest(b"s" * 20, asked[0], 10)
took = time.perf_counter() - began
size = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
print(json.dumps({"took": took, "size": size}))
"""


def vectors(count: int, seed: int) -> Any:
    """Make vectors of length 1 around topics that do not depend on the seed."""
    topics = _spread(2000, 0)
    random = numpy.random.default_rng(seed)
    made = topics[random.integers(0, len(topics), count)] + 0.9 * _spread(count, seed + 1)
    return made / numpy.linalg.norm(made, axis=1, keepdims=True)


def _spread(count: int, seed: int) -> Any:
    weights = (1 + numpy.arange(DIMENSION)) ** -0.3
    rows = numpy.random.default_rng(seed).standard_normal((count, DIMENSION), numpy.float32)
    rows *= weights.astype(numpy.float32)
    return rows / numpy.linalg.norm(rows, axis=1, keepdims=True)


def wordings(first: int, count: int) -> list[Wording]:
    """Make wordings of 60 letters or so."""
    return [
        Wording(
            n.to_bytes(20, "big"), SCOPE, n.to_bytes(20, "big"), f"How do I do number {n} well?"
        )
        for n in range(first, first + count)
    ]


def measure(name: str, index: Any, rows: Any, asked: Any, right: Any) -> Iterator[Row]:
    """Fill an index, and measure it."""
    group = f"Index of {len(rows):,} wordings: {name}"
    began = time.perf_counter()
    for n in range(ALONE):
        index.add(wordings(n, 1), rows[n : n + 1])
    yield _rate(group, "added one at a time", ALONE, began)
    began = time.perf_counter()
    for start in range(ALONE, len(rows), 100):
        part = rows[start : start + 100]
        index.add(wordings(start, len(part)), part)
    yield _rate(group, "added by hundreds", len(rows) - ALONE, began)
    if isinstance(index, Embedded):
        began = time.perf_counter()
        index.nearest(SCOPE, asked[0], 1)
        while not index.settle(WAIT):
            pass
        yield _rate(group, "of which into the graph, afterwards", len(rows), began)
    found = [index.nearest(SCOPE, it, COUNT) for it in asked[: len(right)]]
    yield from _recall(group, found, right)
    taken, spent = _timed(lambda n: index.nearest(SCOPE, asked[n], COUNT), len(asked))
    budget = Budget(most=500) if name == "embedded" and len(rows) <= 10_000 else Budget()
    yield Row(group, "nearest 10", "us", *taken, calls=len(asked), budget=budget)
    yield Row(group, "nearest 10, this process's processor time", "us", *spent, calls=len(asked))
    new = vectors(200, seed=77)
    taken, _ = _timed(lambda n: index.add(wordings(10**9 + n, 1), new[n : n + 1]), len(new))
    yield Row(group, "add one more", "us", *taken, calls=len(new))


def _timed(call: Callable[[int], Any], count: int) -> tuple[tuple[float, float], ...]:
    wall, own = [], []
    for n in range(count):
        began, used = time.perf_counter_ns(), time.thread_time_ns()
        call(n)
        own.append((time.thread_time_ns() - used) / 1e3)
        wall.append((time.perf_counter_ns() - began) / 1e3)
    return tuple((quantile(sorted(it), 0.5), quantile(sorted(it), 0.99)) for it in (wall, own))


def _rate(group: str, what: str, count: int, began: float) -> Row:
    took = time.perf_counter() - began
    return Row(group, what, "/s", count / took, note=f"{count:,} in {took:.1f} s")


def _recall(group: str, found: Sequence[Any], right: Any) -> Iterator[Row]:
    numbers = [[int.from_bytes(it.wording.key, "big") for it in row] for row in found]
    first = sum(row[:1] == [it[0]] for row, it in zip(numbers, right, strict=True))
    all_ = sum(len({*row} & {*it}) for row, it in zip(numbers, right.tolist(), strict=True))
    yield Row(group, "found the nearest one", "%", 100 * first / len(right))
    yield Row(group, "found of the nearest ten", "%", 100 * all_ / right.size)


def _nearest(rows: Any, asked: Any) -> Any:
    """Return the places of the nearest ten, looked for one by one."""
    best = []
    for question in asked:
        scores = numpy.concatenate(
            [rows[at : at + 100_000].astype(numpy.float32) @ question
             for at in range(0, len(rows), 100_000)]
        )  # fmt: skip
        places = numpy.argpartition(-scores, COUNT)[:COUNT]
        best.append(places[numpy.argsort(-scores[places])])
    return numpy.array(best)


@contextmanager
def made(name: str, folder: Path) -> Iterator[Any]:
    """Open an index of a kind, empty, with its server."""
    with ExitStack() as stack:
        if name == "memory":
            yield Memory(DIMENSION, limit=10**9)
        elif name == "embedded":
            index = Embedded(folder / "wordings", limit="100GB", busy=10, **SPACE)
            yield index
            index.close()
        elif name == "pgvector":
            programs = postgres.find()
            if programs is None:
                raise RuntimeError(postgres.INSTALL)
            server = stack.enter_context(postgres.Postgres(programs, buffers="1GB"))
            yield PgVector(f"{server.url}?timeout=30", **SPACE)
        else:
            engine = "redis7" if name == "redisearch" else "redis8"
            binary = binaries.find(engine)
            if binary is None:
                raise RuntimeError(binaries.ENGINES[engine].install)
            modules = [f"loadmodule {binary.search}"] if name == "redisearch" else []
            redis = stack.enter_context(Server(binary, config=modules))
            kind = RediSearch if name == "redisearch" else VectorSets
            yield kind(redis.url + PATIENT, **SPACE)


KINDS = ("memory", "embedded", "redisearch", "vector_sets", "pgvector")


def run(name: str, size: int, rows: Any, asked: Any, right: Any) -> Iterator[Row]:
    """Measure one index; for the embedded one also how it opens."""
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        try:
            with made(name, folder) as index:
                yield from measure(name, index, rows, asked, right)
                if name == "embedded":
                    began = time.perf_counter()
                    index.close()
                    group = f"Index of {size:,} wordings: {name}"
                    took = time.perf_counter() - began
                    yield Row(group, "close, with the graph saved", "ms", 1e3 * took)
                    yield from _opened(group, folder, asked)
        except Exception as error:
            yield failure(f"Index of {size:,} wordings: {name}", name, error)


def _opened(group: str, folder: Path, asked: Any) -> Iterator[Row]:
    for path in folder.iterdir():
        yield Row(group, f"file {path.name[:14]}", "MB", path.stat().st_size / 1e6)
    numpy.save(folder / "asked.npy", asked)
    command = [sys.executable, "-c", OPEN, str(folder / "wordings"), str(folder / "asked.npy")]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    yield Row(group, "open and answer the first lookup", "ms", 1e3 * said["took"])
    yield Row(group, "memory of a process that opened it", "MB", said["size"] / 1e6)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000])
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS)
    asked_for = parser.parse_args()
    for size in asked_for.sizes:
        rows = vectors(size, seed=1).astype(numpy.float16)
        asked = vectors(ASKED, seed=2).astype(numpy.float32)
        # Half of the questions are near to a wording, as those that hit are.
        near = rows[:: max(1, size // ASKED)][:ASKED].astype(numpy.float32)
        asked[::2] = (near + 0.3 * asked)[::2]
        asked /= numpy.linalg.norm(asked, axis=1, keepdims=True)
        right = _nearest(rows, asked[:200])
        for name in asked_for.only:
            for row in run(name, size, rows, asked, right):
                print(f"{row.group}\n{report.line(row)}", flush=True)


if __name__ == "__main__":
    main()
