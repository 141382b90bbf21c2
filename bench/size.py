"""How many bytes an entry takes, in memory and on disk.

Memory is what the process grows by (its resident set) while it is filled, divided by the number of
entries; each kind is filled in a process of its own. Disk is the size of all files after closing.
The answer is the same everywhere: 1.6 KB of JSON, a copy of its own for each entry.

    python bench/size.py KIND COUNT      prints the bytes of one entry
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import peers
import workload
from rows import Row, failure
from timing import Pace

MEMORY = "Memory per entry"
DISK = "Disk per entry"
KEPT_OBJECTS = 2_000
"""SDK objects that a wrapped client keeps for cloning; 32 MB of them at most."""


def measure(pace: Pace) -> Iterator[Row]:
    """Measure each kind in a process of its own."""
    for kind, (group, what, _) in KINDS.items():
        command = [sys.executable, __file__, kind, str(pace.few)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            yield Row(group, what, "B/entry", float(done.stdout.split()[-1]))
        else:
            said = done.stderr.strip().splitlines() or ["it ended without a word"]
            yield failure(group, what, RuntimeError(said[-1]))


def _grown(fill: Callable[[], object], count: int) -> float:
    """Return the bytes that the process grew by for each entry. Linux only."""
    gc.collect()
    before = _resident()
    kept = fill()
    gc.collect()
    grown = _resident() - before
    del kept
    return grown / count


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _requests(count: int) -> Iterator[dict[str, Any]]:
    request = workload.REQUESTS["4 KB"]
    return (json.loads(workload.numbered(request, number)) for number in range(count))


# The kinds


def _text_dict(count: int) -> float:
    cache = peers.Tutorial()

    def fill() -> object:
        for number, asked in enumerate(_requests(count)):
            answer = workload.answer(number)
            cache.put(answer["choices"][0]["message"]["content"], **asked)
        return cache

    return _grown(fill, count)


def _parsed_dict(count: int) -> float:
    def fill() -> object:
        return {
            peers.tutorial_key(**asked): json.loads(json.dumps(workload.answer(number)))
            for number, asked in enumerate(_requests(count))
        }

    return _grown(fill, count)


def _memory(count: int) -> float:
    from askonce import Cache

    cache = Cache("memory://", memory="100GB")

    def fill() -> object:
        for number, asked in enumerate(_requests(count)):
            cache.put(workload.answer(number), **asked)
        return cache

    return _grown(fill, count)


def _wrapped(count: int) -> float:
    return _wrapped_calls(count, rounds=1)


def _wrapped_twice(count: int) -> float:
    return _wrapped_calls(min(count, KEPT_OBJECTS), rounds=2)


def _wrapped_calls(count: int, rounds: int) -> float:
    from askonce import Cache
    from clients import Canned, openai

    cache = Cache("memory://", memory="100GB")
    create = cache.wrap(openai(Canned())).chat.completions.create
    create(**next(_requests(1)))  # what the first call loads counts for none

    def fill() -> object:
        for _ in range(rounds):
            for asked in _requests(count):
                create(**asked)
        assert cache.stats().hit >= count * (rounds - 1)
        return cache

    return _grown(fill, count)


def _dspy(count: int) -> float:
    cache = peers.dspy_cache()

    def fill() -> object:
        for number, asked in enumerate(_requests(count)):
            cache.put(asked, workload.answer(number))
        return cache

    return _grown(fill, count)


def _langchain(count: int) -> float:
    from langchain_core.caches import InMemoryCache

    lookup, update = peers.langchain_cache(InMemoryCache())

    def fill() -> object:
        for asked in _requests(count):
            update(peers.langchain_messages(asked))
        return lookup

    return _grown(fill, count)


def _sqlite(count: int) -> float:
    from askonce import Cache

    with TemporaryDirectory() as folder:
        with Cache(f"sqlite:///{folder}/answers.db", disk="100GB") as cache:
            for number, asked in enumerate(_requests(count)):
                cache.put(workload.answer(number), **asked)
        return _size(folder) / count


def _dspy_disk(count: int) -> float:
    with TemporaryDirectory() as folder:
        cache = peers.dspy_cache(folder)
        for number, asked in enumerate(_requests(count)):
            cache.put(asked, workload.answer(number))
        cache.disk_cache.close()
        return _size(folder) / count


def _size(folder: str) -> int:
    return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())


KINDS: dict[str, tuple[str, str, Callable[[int], float]]] = {
    "memory": (MEMORY, "askonce: cache.put", _memory),
    "wrapped": (MEMORY, "askonce: wrapped client, the answer and its alias", _wrapped),
    "twice": (
        MEMORY,
        "askonce: wrapped client after a hit, with the object kept for cloning",
        _wrapped_twice,
    ),
    "text-dict": (MEMORY, "tutorial: dict of the answers' texts alone", _text_dict),
    "parsed-dict": (MEMORY, "dict of parsed answers", _parsed_dict),
    "dspy": (MEMORY, "DSPy: memory", _dspy),
    "langchain": (
        MEMORY,
        "LangChain: InMemoryCache (the text alone, under the whole prompt)",
        _langchain,
    ),
    "sqlite": (DISK, "askonce: cache.put", _sqlite),
    "dspy-disk": (DISK, "DSPy: disk", _dspy_disk),
}


if __name__ == "__main__":
    with TemporaryDirectory() as quiet:
        peers.keep_quiet(quiet)
        print(KINDS[sys.argv[1]][2](int(sys.argv[2])))
