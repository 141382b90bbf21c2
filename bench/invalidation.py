"""Processes serve an entry while another one invalidates it: is anything old served after?

Each of four processes calls one cached function, again and again. It answers with the version of a
document, which all of them read from shared memory. Another process changes the document,
invalidates its tag, and notes when `invalidate` returned; a call that begins later and is answered
with an older version is STALE: there must be none. FORGET does the same with an entry without tags,
which the memory of each process may serve until it is told, or, where the network was cut, until it
is back. CHAIN calls a function whose tag comes from a call inside it, over one SQLite file.
UNTAGGED leaves the tag out and must be seen to be stale; it runs only when asked for. LONGEST is
the time after which the last STALE call began. UNCONFIRMED and UNREACHED count invalidations that
raised, as no replica had them in time (WAIT) or no server answered; they are tried again. One that
returned was confirmed by a replica, where its primary had one.

    python bench/invalidation.py [--seconds 8] [--readers 4] [--changes 1000] [SCENARIO ...]
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import json
import math
import mmap
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from askonce import Cache
from askonce.errors import StoreError
from askonce.testing.clusters import Cluster
from askonce.testing.proxies import CuttingProxy
from askonce.testing.sentinels import Sentinels
from askonce.testing.servers import Server
from engines import binary

READERS = 4
TAG = "doc:1"
PAUSE = 0.001
"""Seconds between two calls of a reader."""
BETWEEN = 0.02
"""Seconds between two invalidations, at least."""


# The document, and the function that answers from it


class Document:
    """A number that all processes see at once."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8)

    def read(self) -> int:
        """Return its version."""
        return int.from_bytes(self._memory[:], "little")

    def write(self, version: int) -> None:
        """Change it."""
        self._memory[:] = version.to_bytes(8, "little")


def function(cache: Cache, document: Document, kind: str) -> Callable[[], int]:
    """Return the cached function: a version of the document, or a number of its own each time.

    Of a chain, the tag is known only to the function inside.
    """

    @cache(tags=[TAG], version=kind)
    def version() -> int:
        return document.read()

    @cache(version=kind)
    def number() -> int:
        return random.getrandbits(50)

    @cache(version=kind)
    def chain() -> int:
        return document.read() if kind == "untagged" else version()

    return {"tag": version, "forget": number}.get(kind, chain)


def read(url: str, path: str, kind: str) -> None:
    """Call until told to stop; then write down when each call began, ended, and what it said."""
    calls = []
    with Cache(url) as cache:
        call = function(cache, Document(Path(path)), kind)
        call()
        print("ready", flush=True)
        os.set_blocking(0, False)
        while not sys.stdin.readline():
            began = time.monotonic()
            said = call()
            calls.append((began, time.monotonic(), said))
            time.sleep(PAUSE)
        hits = cache.stats().hit_rate
    print(json.dumps({"calls": calls, "hits": hits}))


class Reader:
    """A process that calls."""

    def __init__(self, url: str, path: Path, kind: str) -> None:
        command = [sys.executable, __file__, "--read", url, str(path), kind]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, text=True, **pipes)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def result(self) -> dict[str, Any]:
        """Let it stop, and return what it wrote down."""
        said, _ = self.process.communicate("stop\n")
        if self.process.returncode:
            raise RuntimeError("a reader has failed")
        found: dict[str, Any] = json.loads(said)
        return found


# What happens meanwhile. A scenario starts servers and yields a stage.


@dataclass
class Stage:
    """Where a scenario plays, and what is done after each invalidation."""

    url: str
    after: Callable[[int], object] = lambda _: None
    readers: str = ""
    """Where the readers connect, if that is elsewhere."""
    events: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    """What is done at which part of the time, between two invalidations."""


@contextmanager
def single() -> Iterator[Stage]:
    """Nothing else happens."""
    with Server(binary("valkey9", "redis8")) as server:
        yield Stage(server.url)


@contextmanager
def one_file() -> Iterator[Stage]:
    """One SQLite file, without a server."""
    with tempfile.TemporaryDirectory() as folder:
        yield Stage(f"sqlite:///{folder}/answers.db")


@contextmanager
def evicted() -> Iterator[Stage]:
    """The hash of tag versions is deleted, as an eviction does it, after every other time."""
    with Server(binary("valkey9", "redis8")) as server:

        def evict(number: int) -> None:
            if number % 2:
                server.command("DEL", "askonce:{0}:tags")

        yield Stage(server.url, evict)


@contextmanager
def cluster() -> Iterator[Stage]:
    """Three primaries, all well."""
    with Cluster(binary("valkey9", "redis8")) as nodes:
        yield Stage(nodes.url)


@contextmanager
def failover() -> Iterator[Stage]:
    """The primary is killed as soon as an invalidation has returned. Sentinel replaces it."""
    with Sentinels(binary("redis8", "valkey9"), replicas=2) as watched:
        yield Stage(watched.url, events=[(1 / 3, watched.kill_primary)])


@contextmanager
def cluster_failover() -> Iterator[Stage]:
    """The primary that has the entry is killed as soon as an invalidation has returned."""
    with Cluster(binary("valkey9", "redis8")) as nodes:

        def kill() -> None:
            names = (name for node in nodes.primaries() for name in _names(node, "*:e:*"))
            nodes.kill_primary_of(next(names))

        yield Stage(nodes.url, events=[(1 / 3, kill)])


def _names(node: Server, pattern: str) -> list[str]:
    reply = node.command("KEYS", pattern)
    assert isinstance(reply, list)
    # A name ends in a binary key; its hash tag alone says where it is.
    return [f"{bytes(name).partition(b'}')[0].decode()}}}" for name in reply]  # type: ignore[arg-type]


@contextmanager
def cut_off() -> Iterator[Stage]:
    """The readers' network is cut, and comes back."""
    with Server(binary("valkey9", "redis8")) as server, CuttingProxy(server.port) as proxy:
        through = f"redis://127.0.0.1:{proxy.port}"
        yield Stage(server.url, readers=through, events=[(1 / 3, proxy.cut), (2 / 3, proxy.heal)])


SCENARIOS: dict[str, tuple[str, Callable[[], AbstractContextManager[Stage]]]] = {
    "tag": ("tag", single),
    "tag-evicted": ("tag", evicted),
    "tag-cluster": ("tag", cluster),
    "tag-failover": ("tag", failover),
    "tag-cluster-failover": ("tag", cluster_failover),
    "tag-cut-off": ("tag", cut_off),
    "forget": ("forget", single),
    "forget-cluster": ("forget", cluster),
    "forget-cut-off": ("forget", cut_off),
    "chain": ("chain", one_file),
    "untagged": ("untagged", one_file),
}
ON_DEMAND = ("untagged",)


# Playing


@dataclass
class Change:
    """One invalidation that has returned: when, and what must not be served any more."""

    returned: float
    number: int


def change_tag(cache: Cache, document: Document, number: int, errors: list[str]) -> Change:
    """Change the document and invalidate, until that returns; `errors` gets what it raised."""
    document.write(number)
    while True:
        try:
            cache.invalidate(tag=TAG)
            return Change(time.monotonic(), number)
        except StoreError as error:
            errors.append(str(error))
            time.sleep(0.01)


def forget(cache: Cache, call: Callable[[], int]) -> Change:
    """Forget what is served now."""
    number = call()
    outcome = cache.last
    assert outcome is not None
    cache.forget(outcome)
    return Change(time.monotonic(), number)


@dataclass
class Played:
    """What was done and seen."""

    kind: str
    changes: list[Change]
    errors: list[str]
    """What invalidations raised that were then tried again."""
    calls: list[tuple[float, float, int]]
    hits: float
    settled: float
    """When the last event was over."""


def play(
    kind: str,
    stage: Stage,
    folder: Path,
    *,
    seconds: float = math.inf,
    readers: int = READERS,
    most: float = math.inf,
) -> Played:
    """Let the readers call, and change what they serve, until time or changes are over."""
    path = folder / "document"
    document = Document(path)
    callers = [Reader(stage.readers or stage.url, path, kind) for _ in range(readers)]
    changes: list[Change] = []
    errors: list[str] = []
    settled = 0.0
    with Cache(stage.url) as cache:
        call = function(cache, document, kind)
        began, events = time.monotonic(), list(stage.events)
        while (now := time.monotonic()) < began + seconds and len(changes) < most:
            if kind == "forget":
                change = forget(cache, call)
            else:
                change = change_tag(cache, document, len(changes) + 1, errors)
            changes.append(change)
            stage.after(change.number)
            if events and now - began >= events[0][0] * seconds:
                events.pop(0)[1]()
                settled = time.monotonic()
            time.sleep(BETWEEN)
    results = [caller.result() for caller in callers]
    calls = [tuple(call) for result in results for call in result["calls"]]
    hits = sum(result["hits"] for result in results) / readers
    return Played(kind, changes, errors, calls, hits, settled)


def stale(played: Played) -> list[float]:
    """Return how long after it was invalidated or forgotten each answer was served, in seconds."""
    return stale_numbers(played) if played.kind == "forget" else stale_tags(played)


def stale_tags(played: Played) -> list[float]:
    """Return how long after an invalidation each call began that was answered with less."""
    returned = [change.returned for change in played.changes]
    found = []
    for began, _, said in played.calls:
        # The versions go up: the last one that was invalidated before this call is the bar.
        at = bisect.bisect_left(returned, began) - 1
        if at >= 0 and said < played.changes[at].number:
            found.append(began - returned[said])  # the first invalidation that it outlived
    return found


def stale_numbers(played: Played) -> list[float]:
    """Return how long after it was forgotten, and the network back, each number was served."""
    gone = {it.number: max(it.returned, played.settled) for it in played.changes}
    return [
        began - gone[said] for began, _, said in played.calls if said in gone and began > gone[said]
    ]


HEADER = (
    f"{'SCENARIO':<22}{'CHANGES':>8}{'UNCONFIRMED':>13}{'UNREACHED':>11}{'CALLS':>8}{'HITS':>6}"
    f"{'STALE':>7}{'LONGEST ms':>12}"
)


def main() -> int:
    """Play the scenarios; 1 if anything invalidated was served."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--readers", type=int, default=READERS)
    parser.add_argument("--changes", type=float, default=math.inf, help="end after so many")
    arguments = parser.parse_args()
    if unknown := set(arguments.scenarios) - set(SCENARIOS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    print(HEADER, flush=True)
    well = True
    for name in arguments.scenarios or [name for name in SCENARIOS if name not in ON_DEMAND]:
        kind, scene = SCENARIOS[name]
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            played = play(
                kind,
                stack.enter_context(scene()),
                folder,
                seconds=arguments.seconds,
                readers=arguments.readers,
                most=arguments.changes,
            )
        unconfirmed = sum("confirmed" in error for error in played.errors)
        late = stale(played)
        print(
            f"{name:<22}{len(played.changes):>8}{unconfirmed:>13}"
            f"{len(played.errors) - unconfirmed:>11}{len(played.calls):>8}"
            f"{played.hits:>6.0%}{len(late):>7}{1000 * max(late, default=0):>12.1f}",
            flush=True,
        )
        well = well and (kind == "forget" or not late)
    return 0 if well else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        read(*sys.argv[2:])
    else:
        sys.exit(main())
