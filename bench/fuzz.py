"""Send random and hostile requests, get random and hostile answers, and compare.

Each request goes once to an upstream as it is, and then through the cache. The upstream's answer is
a function of what the request means, by an oracle that knows nothing of askonce's keys. So whatever
the cache does, its caller must get what it would have got without it: the same status, body and
exception, or the right answer told in another form.

    python bench/fuzz.py [BODIES] [SEED]
"""

from __future__ import annotations

import faulthandler
import json
import random
import re
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import oracle
from askonce.model import Outcome
from hostile_bodies import family
from hostile_requests import Sent, huge
from hostile_upstream import as_sent
from lanes import Lane, Result, Stored, lanes, request

ENOUGH = 20
"""Wrongs after which a run ends."""
HANGS = 120.0
"""Seconds after which a family hangs; the slowest of them take some seconds."""

STAMP = re.compile(rb"stamp-[0-9a-f]{16}")


def alike(
    plain: Result, got: Result, meant: oracle.Meaning | None = None, *, exact: bool = True
) -> bool:
    """Say whether two callers got the same; a stream that is not `exact` has the same events."""
    if exact and (plain.error or got.error):
        # Headers may have come without the cache, where the cache reads the body first.
        return plain.error == got.error and plain.body.startswith(got.body)
    if plain.status != got.status or got.error is not None:
        return False
    if exact and plain.content_type != got.content_type:
        return False
    if plain.body == got.body:
        return True
    if exact or meant is None:
        return False
    if not meant.stream:
        # Labels were put in anew.
        return meant.labels != "{}" and oracle.same_json(plain.body, got.body)
    # A hit shows usage to those who asked for it.
    sent = oracle.events(plain.body, usage=meant.usage)
    return oracle.events(got.body, usage=meant.usage) == sent


def _short(thing: object) -> str:
    text = repr(thing)
    return text if len(text) < 2000 else f"{text[:1500]} ... {text[-500:]}"


@dataclass(frozen=True, slots=True)
class Seen:
    """One call through the cache, beside the same one without it."""

    meant: oracle.Meaning
    plain: Result
    got: Result
    outcome: Outcome
    received: list[Sent]
    """What the cache asked of the upstream."""


@dataclass
class Fuzz:
    """Sends requests down a lane, and collects what is wrong."""

    wrong: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    bodies: int = 0
    slowest: float = 0.0

    def family(self, lane: Lane, chance: random.Random) -> None:
        """Send a family, each member twice, and its first also in the other form."""
        for sent in family(chance, lane.hosts):
            self.body(lane, sent)
            if sent.kind == "ordinary" and b'"stream"' not in sent.body:
                flipped = sent.body[:-1] + b',"stream":true}'
                self.body(lane, replace(sent, kind="as a stream", body=flipped))
        left = len(lane.cache.session.engine.flights)
        if left:
            self.wrong.append(f"{lane.name}: {left} flights were left")

    def body(self, lane: Lane, sent: Sent) -> None:
        """Send one body without the cache, and twice through it."""
        self.bodies += 1
        meant = oracle.meaning(as_sent(request(lane.plain, sent)))
        plain = lane.send(lane.plain, sent)
        for _ in range(2):
            before, began = len(lane.upstream.received), time.perf_counter()
            with lane.cache.recording() as outcomes:
                got = lane.send(lane.cached, sent)
            self.slowest = max(self.slowest, time.perf_counter() - began)
            received = lane.upstream.received[before:]
            if len(outcomes) != 1:
                self.wrong.append(f"{lane.name}, {sent.kind}: {len(outcomes)} outcomes of a call")
                continue
            outcome = outcomes[0]
            said = _judge(lane, Seen(meant, plain, got, outcome, received))
            if said:
                told = f"{lane.name}, {sent.kind}: {said} ({outcome.kind} {outcome.reason})"
                shown = (_short(thing) for thing in (sent, plain, got))
                self.wrong.append("\n  ".join((told, *shown)))
            self.outcomes[" ".join((outcome.kind, *_code(outcome)))] += 1
            if outcome.kind == "miss" and outcome.stored:
                lane.stored |= _stored(meant, plain)
        del lane.upstream.received[:]


def _code(outcome: Outcome) -> list[str]:
    return [outcome.reason.code] if outcome.reason else []


def _judge(lane: Lane, seen: Seen) -> str:
    """Say what is wrong with one answer, or nothing."""
    kind, meant = seen.outcome.kind, seen.meant
    if meant.doubtful and kind != "bypass":
        return "in doubt, and not bypassed"
    if meant.parts and kind != "bypass":
        return _judge_batch(lane, seen)
    if (kind == "hit") == bool(seen.received):
        return "a hit that asked upstream, or something else that did not"
    if kind == "hit":
        return _judge_hit(lane.stored.get(meant.digest), seen)
    exact = not (meant.stream and "api.openai.com" in seen.received[0].url)
    same = alike(seen.plain, seen.got, meant, exact=exact)
    return "" if same else "not what it is without the cache"


def _judge_hit(stored: Stored | None, seen: Seen) -> str:
    """A hit is what was stored, or tells it in the other form."""
    meant, got = seen.meant, seen.got
    if stored is None:
        return "a hit on an answer to another question"
    if stored.part:
        return "" if _vectors(got) == [oracle.vector(meant.digest)] else "a wrong vector"
    # With other labels the answer has other places to be spoiled in.
    if stored.asked == stored.streamed == meant.stream and stored.labels == meant.labels:
        return "" if alike(seen.plain, got, meant, exact=False) else "not what was stored"
    told = frozenset(STAMP.findall(got.body)) == stored.stamps and 200 <= got.status < 300
    return "" if told and got.error is None else "told in another form, and wrong"


def _judge_batch(lane: Lane, seen: Seen) -> str:
    """A batch may be answered in part; each vector must be right, or all be upstream's own."""
    # What upstream said to the request that the cache made of it.
    own = (lane.send(lane.plain, sent) for sent in list(seen.received))
    if alike(seen.plain, seen.got) or any(alike(result, seen.got) for result in own):
        return ""
    vectors = _vectors(seen.got) or [None] * len(seen.meant.parts)
    right = all(
        vector == oracle.vector(part) or part in lane.upstream.untold
        for part, vector in zip(seen.meant.parts, vectors, strict=True)
    )
    return "" if right else "a wrong vector"


def _stored(meant: oracle.Meaning, plain: Result) -> dict[str, Stored]:
    streamed = plain.content_type.lower().startswith("text/event-stream")
    stamps = frozenset(STAMP.findall(plain.body))
    if meant.parts:
        return dict.fromkeys(meant.parts, Stored(False, False, stamps, part=True))
    return {meant.digest: Stored(meant.stream, streamed, stamps, meant.labels)}


def _vectors(got: Result) -> Any:
    try:
        return [item["embedding"] for item in json.loads(got.body)["data"]]
    except (ValueError, KeyError, TypeError):
        return None


def storm(fuzz: Fuzz, ways: list[Lane], bodies: int, seed: int) -> int:
    """Send families down all lanes, until so many bodies are sent; return how many families."""
    # A socket costs ten times what the canned transport does.
    turns = [way for way in ways for _ in range(1 if "wire" in way.name else 4)]
    number = 0
    while fuzz.bodies < bodies and len(fuzz.wrong) < ENOUGH:
        faulthandler.dump_traceback_later(HANGS, exit=True)
        fuzz.family(turns[number % len(turns)], random.Random(f"{seed} {number}"))
        if number % 300 == 299:
            way = turns[number // 300 % len(turns)]
            for size in (31_900_000, 33_700_000, 50_000_000):
                fuzz.body(way, huge(f"{way.hosts[0]}/v1/chat/completions", size))
        number += 1
    faulthandler.cancel_dump_traceback_later()
    return number


def main(bodies: int, seed: int) -> int:
    """Run and report; 0 if nothing was wrong."""
    warnings.simplefilter("error")
    began, fuzz = time.monotonic(), Fuzz()
    with tempfile.TemporaryDirectory() as folder, lanes(seed, folder) as ways:
        families = storm(fuzz, ways, bodies, seed)
        troubles = sum(way.cache.stats().trouble for way in ways)
        kinds: Counter[str] = sum((way.upstream.kinds for way in ways), Counter())
    for problem in fuzz.wrong:
        print(problem, end="\n\n")
    print(
        f"{fuzz.bodies} bodies in {families} families, {sum(fuzz.outcomes.values())} calls, "
        f"{len(kinds)} kinds of answers; {len(fuzz.wrong)} wrong, {troubles} store troubles; "
        f"slowest call {fuzz.slowest:.2f} s, "
        f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB, "
        f"{time.monotonic() - began:.0f} s"
    )
    for name, count in sorted(fuzz.outcomes.items()):
        print(f"{count:8d} {name}")
    return 1 if fuzz.wrong or troubles else 0


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(*given, *(10_000, 1)[len(given) :]))
