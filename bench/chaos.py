"""Break the Redis under programs that make 200 calls a second, and look at every answer.

One program calls from threads through the wrapped OpenAI client, another from tasks through
`cache.transport` over httpx2, as on two machines (see `callers.py`). The provider is a local server
that answers at once. A call has failed when it raises, or when its answer is not the answer to its
question. NEEDED is the number of different questions: more upstream calls are what the fault cost,
and what tags and a small memory cost. OPENED says how often a program found the store failing.

    python bench/chaos.py [--seconds 30] [SCENARIO ...]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openai import OpenAI

import callers
from askonce import Cache
from askonce.testing import FakeUpstream
from askonce.testing.clusters import Cluster
from askonce.testing.fake_script import RecordedRequest, Reply
from askonce.testing.proxies import CuttingProxy
from askonce.testing.sentinels import Sentinels
from askonce.testing.servers import Server
from engines import binary

RATE = 240
"""Calls a second that are begun, by both programs together."""
HEALED = 15.0
"""Seconds after the last call within which the store must be found working again."""


# What happens to the server. Each scenario starts servers, and yields their URL and the events: at
# which part of the time what is done.

Event = tuple[float, Callable[[], object]]


@dataclass
class Stage:
    """Where a scenario plays."""

    url: str
    events: list[Event] = field(default_factory=list)
    flood: float = 0.0
    """Large answers asked for in a second, in the middle third of the time."""


@contextmanager
def killed(_: float) -> Iterator[Stage]:
    """The server is killed and restarted."""
    with Server(binary("valkey9", "redis8")) as server:
        yield Stage(server.url, [(1 / 3, server.kill), (2 / 3, server.start)])


@contextmanager
def paused(seconds: float) -> Iterator[Stage]:
    """The server stands still for 10 s (SIGSTOP)."""
    with Server(binary("valkey9", "redis8")) as server:
        end = 1 / 3 + min(10 / seconds, 1 / 3)
        yield Stage(server.url, [(1 / 3, server.pause), (end, server.resume)])


@contextmanager
def cluster(_: float) -> Iterator[Stage]:
    """One of three primaries is killed, and its replica takes over."""
    with Cluster(binary("valkey9", "redis8")) as nodes:
        dead: list[Server] = []
        kill = lambda: dead.append(nodes.kill_primary_of(0))  # noqa: E731
        back = lambda: dead[0].start()  # noqa: E731, PLW0108 (it is not dead yet)
        yield Stage(nodes.url, [(1 / 3, kill), (2 / 3, back)])


@contextmanager
def sentinel(_: float) -> Iterator[Stage]:
    """The primary is killed, and Sentinel lets its replica take over."""
    with Sentinels(binary("redis8", "valkey9")) as watched:
        dead: list[Server] = []
        kill = lambda: dead.append(watched.kill_primary())  # noqa: E731
        back = lambda: dead[0].start()  # noqa: E731, PLW0108 (it is not dead yet)
        yield Stage(watched.url, [(1 / 3, kill), (2 / 3, back)])


@contextmanager
def network(_: float) -> Iterator[Stage]:
    """Nothing passes the network, neither data nor an error, and then it does again."""
    with Server(binary("valkey9", "redis8")) as server, CuttingProxy(server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        yield Stage(url, [(1 / 3, proxy.cut), (2 / 3, proxy.heal)])


@contextmanager
def full(_: float) -> Iterator[Stage]:
    """The memory is full under `noeviction`, and then there is room again."""
    with Server(binary("valkey9", "redis8")) as server:
        fill = lambda: server.command("CONFIG", "SET", "maxmemory", "1mb")  # noqa: E731
        free = lambda: server.command("CONFIG", "SET", "maxmemory", "0")  # noqa: E731
        yield Stage(server.url, [(1 / 3, fill), (2 / 3, free)])


@contextmanager
def password(_: float) -> Iterator[Stage]:
    """The password changes, all connections are closed, and later the file has the new one."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(binary("valkey9", "redis8"), password="old") as server,
    ):
        file = Path(folder) / "password"
        file.write_text("old")

        def rotate() -> None:
            server.change_password("new")
            server.command("CLIENT", "KILL", "TYPE", "normal")
            server.command("CLIENT", "KILL", "TYPE", "pubsub")

        url = f"redis://{server.address}?password_file={file}"
        told = lambda: file.write_text("new")  # noqa: E731
        yield Stage(url, [(1 / 3, rotate), (2 / 3, told)])


@contextmanager
def flood(_: float) -> Iterator[Stage]:
    """Answers of 5 MB come on top of the others."""
    config = ["maxmemory 200mb", "maxmemory-policy allkeys-lru"]
    with Server(binary("valkey9", "redis8"), config=config) as server:
        yield Stage(server.url, flood=4.0)


SCENARIOS: dict[str, Callable[[float], AbstractContextManager[Stage]]] = {
    "killed": killed,
    "paused": paused,
    "cluster": cluster,
    "sentinel": sentinel,
    "network": network,
    "full": full,
    "password": password,
    "flood": flood,
}


# A scenario


class Program:
    """A process that calls, and what came of it."""

    def __init__(self, kind: str, stage: Stage, upstream: str, seconds: float) -> None:
        facts = seconds, RATE / 2, stage.flood if kind == "tasks" else 0.0
        command = [sys.executable, callers.__file__, kind, stage.url, upstream, *map(str, facts)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def go(self) -> None:
        """Let it begin."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def result(self) -> dict[str, Any]:
        """Wait until it has ended."""
        said, _ = self.process.communicate()
        if self.process.returncode:
            raise RuntimeError("a calling program has failed")
        found: dict[str, Any] = json.loads(said)
        return found


@dataclass
class Result:
    """What a scenario came to."""

    name: str
    seconds: float
    programs: list[dict[str, Any]]
    upstream: int
    healed: float | None

    @property
    def failed(self) -> list[str]:
        """What each failed call raised, or said wrongly."""
        return [failure for program in self.programs for failure in program["failed"]]

    def row(self) -> str:
        """Write it as a line of the table."""
        taken = sorted(took for program in self.programs for took in program["taken"])
        asked = {question for program in self.programs for question in program["asked"]}
        openings = sum(program["openings"] for program in self.programs)
        healed = "never" if self.healed is None else f"{self.healed:.1f} s"
        return (
            f"{self.name:<10}{len(taken):>7}{len(taken) / self.seconds:>9.0f}"
            f"{len(self.failed):>8}{1000 * taken[len(taken) // 2]:>9.1f}"
            f"{1000 * taken[len(taken) * 99 // 100]:>9.0f}{1000 * taken[-1]:>12.0f}"
            f"{self.upstream:>10}{len(asked):>8}{openings:>8}{healed:>8}"
        )


HEADER = (
    f"{'SCENARIO':<10}{'CALLS':>7}{'CALLS/s':>9}{'FAILED':>8}{'p50 ms':>9}{'p99 ms':>9}"
    f"{'SLOWEST ms':>12}{'UPSTREAM':>10}{'NEEDED':>8}{'OPENED':>8}{'HEALED':>8}"
)


def play(name: str, seconds: float) -> Result:
    """Play one scenario."""
    with contextlib.ExitStack() as stack:
        stage = stack.enter_context(SCENARIOS[name](seconds))
        upstream = stack.enter_context(FakeUpstream(script))
        programs = [Program(kind, stage, upstream.url, seconds) for kind in ("threads", "tasks")]
        for program in programs:
            program.go()
        began = time.monotonic()
        for part, do in stage.events:
            time.sleep(max(0.0, began + part * seconds - time.monotonic()))
            do()
        results = [program.result() for program in programs]
        calls = upstream.calls
        return Result(name, seconds, results, calls, time_to_heal(stage.url, upstream.url))


def script(request: RecordedRequest) -> Reply | None:
    """Answer large questions at length, all others as usual."""
    asked = request.json["messages"][-1]["content"]
    return Reply(text=callers.large(asked)) if asked.startswith("large") else None


def time_to_heal(url: str, upstream: str) -> float | None:
    """Ask new questions until another cache finds the answer to one: how long that took."""
    began = time.monotonic()
    with Cache(url) as one, Cache(url) as other:
        clients = [
            cache.wrap(OpenAI(base_url=f"{upstream}/v1", api_key="k")) for cache in (one, other)
        ]
        while time.monotonic() - began < HEALED:
            question = f"healed {time.monotonic()}"
            for client in clients:
                client.chat.completions.create(**callers.body(question))
            if other.last is not None and other.last.hit:
                return time.monotonic() - began
            time.sleep(0.1)
    return None


def main() -> int:
    """Play the scenarios; 1 if a call failed or a store was not found again."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    if unknown := set(arguments.scenarios) - set(SCENARIOS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    print(HEADER, flush=True)
    well = True
    for name in arguments.scenarios or SCENARIOS:
        result = play(name, arguments.seconds)
        print(result.row(), flush=True)
        for failure in dict.fromkeys(result.failed[:3]):
            print(failure, file=sys.stderr)
        well = well and not result.failed and result.healed is not None
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
