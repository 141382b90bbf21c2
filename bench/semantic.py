"""What a lookup in other words takes, at 10,000 wordings and more, beside GPTCache.

    python bench/semantic.py [--counts 10000 100000 1000000] [--calls 300] [--folder DIR]

Run it in the environment of the peers (`make bench` makes it). All wordings are of one scope and
each has an answer of its own, in an index beside a SQLite store, as `Cache("sqlite:///...",
semantic=True)` has it. A lookup is all that comes between an exact miss and the upstream call:
canonical text, acronyms, the vector, the index, guards, the verifier on the best wording left, the
counts. GPTCache is asked with the same vectors of the same model, over SQLite and faiss: its own
part of a hit, without its network-bound evaluators. One thread; times are medians.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy

from askonce import Cache, Semantic
from askonce.blocking import run
from askonce.colours import THREADS
from askonce.embedders.local import Local
from askonce.model import Reason, Request
from askonce.semantic.contract import Wording

URL = "https://api.openai.com/v1/chat/completions"
HEADERS = (("content-type", "application/json"), ("host", "api.openai.com"))
BATCH = 1000

VERBS = "book cancel change track return exchange order pay report renew upgrade transfer".split()
THINGS = (
    "flight ticket, hotel room, credit card, gym membership, phone contract, train seat, parcel, "
    "library book, parking permit, insurance policy, rental car, savings account, tax form, "
    "concert ticket, dinner table, driving licence, passport photo, school place, doctor visit, "
    "water meter"
).split(", ")
PLACES = "Oslo Lima Cairo Quito Delhi Tokyo Paris Accra Minsk Turin Leeds Perth".split()


def question(number: int, asked: str = "How do I {} a {} in {} for {} people") -> str:
    """Return a question of some 14 tokens, another one for each number."""
    number, verb = divmod(number, len(VERBS))
    number, thing = divmod(number, len(THINGS))
    number, place = divmod(number, len(PLACES))
    return asked.format(VERBS[verb], THINGS[thing], PLACES[place], number + 2) + "?"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--folder", type=Path, default=None)
    said = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"python {sys.version.split()[0]}, {said.calls} calls a row, one core")
    embedder = Local()
    vectors = _vectors(embedder, 10_000)
    with tempfile.TemporaryDirectory(dir=said.folder) as name:
        _embedding(embedder, said.calls)
        for count in said.counts:
            _ours(Path(name) / f"{count}.db", count, vectors, said.calls)
        _gptcache(Path(name), min(*said.counts, len(vectors)), vectors, embedder, said.calls)


def _vectors(embedder: Local, count: int) -> Any:
    texts = [question(number) for number in range(count)]
    parts = [embedder.embed(texts[at : at + 32]) for at in range(0, count, 32)]
    return numpy.concatenate(parts)


def _embedding(embedder: Local, calls: int) -> None:
    numbers = random.Random(1)
    took = timed(lambda: embedder.embed([question(numbers.randrange(10**6))]), calls)
    show("of which: one question embedded (14 tokens)", took)


# Ours


def _ours(path: Path, count: int, vectors: Any, calls: int) -> None:
    before = _resident()
    settings = Semantic(timeout=60.0, audits=0.0, max_error=0.1)  # at which all lanes are open
    with Cache(f"sqlite:///{path}", semantic=settings) as cache:
        rewording = cache.session.engine.rewording
        plans = [_plan(cache, question(number)) for number in range(2)]
        scope = rewording.wanted(plans[0]).scope
        search = rewording._search
        index = search.parts.index
        began = time.perf_counter()
        for rows in _wordings(scope, count, vectors):
            index.add(*rows)
        filled = time.perf_counter() - began
        began = time.perf_counter()
        index.nearest(scope, vectors[0], 10)  # a graph begins to grow with the first search
        if hasattr(index, "settle"):
            index.settle(3600)
        grown = time.perf_counter() - began
    print(
        f"\n{count:,} wordings: added at {count / filled:,.0f} a second, graph {grown:.1f} s more"
    )
    began = time.perf_counter()
    with Cache(f"sqlite:///{path}", semantic=settings) as cache:
        rewording = cache.session.engine.rewording
        search = rewording._search
        vector = search.parts.embedder.embed([question(1)])[0]
        search.parts.index.nearest(scope, vector, 10)
        opened = time.perf_counter() - began
        print(f"  opened, models loaded and first neighbours found in {opened:.2f} s")
        numbers = random.Random(2)
        asked = "How can I {} a {} in {} for {} people"
        fresh = iter(
            # Of those whose vectors are their own.
            [_plan(cache, question(numbers.randrange(len(vectors)), asked)) for _ in range(calls)]
        )
        lanes: dict[str, int] = {}

        def lookup() -> None:
            _, wanted = run(rewording.find(next(fresh), THREADS))
            decision = wanted.near.decision
            for offer in decision.offers:
                lanes[offer.lane] = lanes.get(offer.lane, 0) + 1

        show(
            "  askonce: lookup, all tiers",
            timed(lookup, calls),
            f"verifier asked in {lanes.get('verifier', 0)} of {calls}",
        )
        near = [
            search.parts.embedder.embed([question(numbers.randrange(count))])[0]
            for _ in range(calls)
        ]
        each = iter(near)
        show(
            "  of which: the ten nearest",
            timed(lambda: search.parts.index.nearest(scope, next(each), 10), calls),
        )
        _exact(calls)
    print(
        f"  memory: {(_resident() - before) / 2**20:,.0f} MB more than before; files: "
        f"{sum(it.stat().st_size for it in path.parent.glob(path.name + '*')) / 2**20:,.0f} MB"
    )


def _exact(calls: int) -> None:
    """Show that an exact hit takes what it takes without the semantic tiers."""
    took = {}
    for name, settings in (("with", Semantic(timeout=60.0)), ("without", None)):
        with Cache("memory://", semantic=settings) as exact:
            engine = exact.session.engine
            plan = _plan(exact, question(1))
            run(engine.keep(plan, b"{}", THREADS))
            look = functools.partial(engine._look, plan)
            took[name] = timed(lambda look=look: run(look()), calls * 30)
    print(
        f"  an exact look: {took['with'] * 1e6:.2f} us with the tiers, "
        f"{took['without'] * 1e6:.2f} us without"
    )


def _plan(cache: Cache, text: str) -> Any:
    body = {"model": "gpt-4o", "temperature": 0, "messages": [{"role": "user", "content": text}]}
    session = cache.session
    request = Request("POST", URL, HEADERS, json.dumps(body).encode())
    plan = session.engine.plan(request, session.base)
    assert not isinstance(plan, Reason)
    return plan


def _wordings(scope: bytes, count: int, vectors: Any) -> Iterator[tuple[list[Wording], Any]]:
    """Return wordings in batches. Beyond the vectors at hand, copies of these with some noise."""
    chance = numpy.random.default_rng(0)
    for at in range(0, count, BATCH):
        numbers = range(at, min(count, at + BATCH))
        rows = vectors[[number % len(vectors) for number in numbers]]
        if at >= len(vectors):
            rows = rows + chance.normal(0, 0.02, rows.shape).astype("float32")
            rows /= numpy.linalg.norm(rows, axis=1, keepdims=True)
        keys = [number.to_bytes(20, "big") for number in numbers]
        yield (
            [
                Wording(key, scope, key, question(number))
                for key, number in zip(keys, numbers, strict=True)
            ],
            rows,
        )


# GPTCache


def _gptcache(folder: Path, count: int, vectors: Any, embedder: Local, calls: int) -> None:
    try:
        from gptcache import Cache as Peer
        from gptcache.adapter.api import get
        from gptcache.manager import CacheBase, VectorBase, get_data_manager
        from gptcache.similarity_evaluation.distance import SearchDistanceEvaluation
    except ImportError as missing:
        print(f"\nGPTCache: not measured: {missing}")
        return
    texts = {question(number): vectors[number] for number in range(count)}

    def embedded(text: str, **_: Any) -> Any:
        known = texts.get(text)
        return embedder.embed([text])[0] if known is None else known

    peer = Peer()
    peer.init(
        pre_embedding_func=lambda data, **_: data["prompt"],
        embedding_func=embedded,
        data_manager=get_data_manager(
            CacheBase("sqlite", sql_url=f"sqlite:///{folder}/gptcache.db"),
            VectorBase("faiss", dimension=384, index_path=f"{folder}/faiss.index"),
            max_size=10 * count,
        ),
        similarity_evaluation=SearchDistanceEvaluation(),
    )
    began = time.perf_counter()
    numbers = [question(number) for number in range(count)]
    peer.data_manager.import_data(
        numbers, ["answer"] * count, [texts[it] for it in numbers], [None] * count
    )
    filled = time.perf_counter() - began
    print(f"\nGPTCache, {count:,} entries, imported at {count / filled:,.0f} a second")
    chance = random.Random(2)
    asked = "How can I {} a {} in {} for {} people"
    fresh = iter([question(chance.randrange(count), asked) for _ in range(calls)])
    hits = []
    show(
        "  GPTCache: get, the same model's vectors",
        timed(lambda: hits.append(get(next(fresh), cache_obj=peer)), calls),
        f"{sum(hit is not None for hit in hits)} of {calls} hit",
    )


# Timing


def timed(call: Callable[[], object], calls: int) -> float:
    """Return the median of some calls, in seconds."""
    gc.collect()
    taken = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def show(what: str, seconds: float, note: str = "") -> None:
    """Print a row."""
    print(f"{what:46} {seconds * 1e3:8.2f} ms  {note}", flush=True)


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
