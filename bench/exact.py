"""An exact hit in this process: from a request object to its answer, nothing in between."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import peers
import workload
from askonce import Cache, keys
from askonce.blocking import run
from askonce.colours import THREADS
from askonce.dialects.contract import Facts
from askonce.dialects.plain import PLAIN
from askonce.plans import Plan
from rows import ANY, Budget, Row
from timing import Pace, Subject, Timed, race

OTHERS = 150
"""Other entries beside the one that is asked for. LiteLLM keeps 200 at most."""

BUDGETS = {"4 KB": Budget(most=10), "60 KB": Budget(most=30)}
TUTORIAL = {"4 KB": Budget(at_least_times=1.5), "60 KB": Budget(at_least_times=4)}


def measure(pace: Pace) -> Iterator[Row]:
    """Measure a hit for each request: beside the tutorial, and beside the libraries."""
    for name, request in workload.REQUESTS.items():
        text = [
            Subject(
                "askonce: cache.get(**request)",
                lambda r=request: _askonce(r, workload.ANSWER_TEXT),
                BUDGETS.get(name, ANY),
            ),
            Subject(
                "tutorial: dict, sha256(json.dumps(sort_keys=True))",
                lambda r=request: _tutorial(r),
                TUTORIAL.get(name, ANY),
            ),
        ]
        yield from race(f"Exact hit in process, {name}: the answer's text", text, pace)
        whole = [
            Subject(
                "askonce: cache.get(**request)",
                lambda r=request: _askonce(r, workload.answer()),
                BUDGETS.get(name, ANY),
                "a dict of its own for each caller",
            ),
            Subject(
                "askonce: digest of the arguments, engine.recall",
                lambda r=request: _recall(r),
                note="as bytes; what a wrapped client does before it clones its object",
            ),
            Subject("tutorial, with json.loads(text)", lambda r=request: _tutorial_whole(r)),
            Subject(
                "DSPy: Cache.get, memory", lambda r=request: _dspy(r), note="a deep copy of a dict"
            ),
            Subject(
                "LiteLLM: Cache.get_cache, local", lambda r=request: _litellm(r), note="a dict"
            ),
        ]
        yield from race(f"Exact hit in process, {name}: the whole answer", whole, pace)


def _filled(request: str, put: Callable[[dict[str, Any]], object]) -> Callable[[], Any]:
    """Put the request and others, and return what makes it afresh."""
    for number in range(OTHERS):
        put(json.loads(workload.numbered(request, number)))
    return lambda: json.loads(request)


def _askonce(request: str, answer: Any) -> Timed:
    cache = Cache("memory://")
    put = lambda asked: cache.put(answer, **asked)  # noqa: E731 (the put of this peer, in a word)
    fresh = _filled(request, put)
    put(fresh())

    def proof() -> None:
        assert cache.get(**fresh()) == answer
        assert cache.stats().miss == 0

    return Timed(lambda asked: cache.get(**asked), fresh, proof)


def _recall(request: str) -> Timed:
    engine = Cache("memory://").session.engine
    options = Cache("memory://").session.base

    def put(asked: dict[str, Any]) -> None:
        alias, key = keys.digest(asked), keys.value_key("wire", asked)
        run(engine.keep(Plan(key, PLAIN, Facts(), options), workload.ANSWER_JSON, THREADS))
        run(engine.learn(alias, Plan(key, PLAIN, Facts(), options), THREADS))

    fresh = _filled(request, put)
    put(fresh())

    def recall(asked: dict[str, Any]) -> Any:
        return run(engine.recall(keys.digest(asked), options))

    def proof() -> None:
        assert recall(fresh()).entry.body == workload.ANSWER_JSON

    return Timed(recall, fresh, proof)


def _tutorial(request: str) -> Timed:
    cache = peers.Tutorial()
    fresh = _filled(request, lambda asked: cache.put(workload.ANSWER_TEXT, **asked))
    cache.put(workload.ANSWER_TEXT, **fresh())

    def proof() -> None:
        assert cache.get(**fresh()) == workload.ANSWER_TEXT

    return Timed(lambda asked: cache.get(**asked), fresh, proof)


def _tutorial_whole(request: str) -> Timed:
    cache, text = peers.Tutorial(), json.dumps(workload.answer())
    fresh = _filled(request, lambda asked: cache.put(text, **asked))
    cache.put(text, **fresh())

    def get(asked: dict[str, Any]) -> Any:
        found = cache.get(**asked)
        return None if found is None else json.loads(found)

    def proof() -> None:
        assert get(fresh()) == workload.answer()

    return Timed(get, fresh, proof)


def _dspy(request: str) -> Timed:
    cache, answer = peers.dspy_cache(), workload.answer()
    fresh = _filled(request, lambda asked: cache.put(asked, answer))
    cache.put(fresh(), answer)

    def proof() -> None:
        assert cache.get(fresh()) == answer

    return Timed(cache.get, fresh, proof)


def _litellm(request: str) -> Timed:
    cache, answer = peers.litellm_cache(), peers.litellm_response()
    fresh = _filled(request, lambda asked: cache.add_cache(answer, **asked))
    cache.add_cache(answer, **fresh())

    def proof() -> None:
        assert cache.get_cache(**fresh())["id"] == answer.id

    return Timed(lambda asked: cache.get_cache(**asked), fresh, proof)
