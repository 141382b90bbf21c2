"""Kill writing processes with -9, again and again, and look at what is left.

Four processes write to one SQLite store. Each tells of an entry only after the store has taken it,
and reads entries of its own back meanwhile. One of them at a time is killed in the middle of its
work and another takes its place. In the end every entry that was told of must be there, whole, and
the file must be sound.

    python bench/crash.py [KILLS]
"""

from __future__ import annotations

import os
import random
import selectors
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from askonce.blocking import run
from askonce.model import Entry
from askonce.stores.sqlite import SQLite

WRITERS = 4
KEY = 20


def entry(key: bytes) -> Entry:
    """Make the one right entry of a key: some bytes to some pages long."""
    return Entry(key * (1 + key[0] * key[1] // 64), created=1.0, model=key.hex())


def write(path: str) -> None:
    """Write for ever, and tell of each entry when it is kept."""
    store = SQLite(path, limit="10GB", busy=5)
    kept: list[bytes] = []
    while True:
        first, second = os.urandom(KEY), os.urandom(KEY)
        run(store.put({first: entry(first), second: entry(second)}))
        os.write(1, first + second)
        kept += (first, second)
        key = random.choice(kept)
        assert run(store.get((key,))).entries == (entry(key),), "a damaged or lost read"


class Writer:
    """A process that writes, and the keys it told of."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, __file__, "--write", str(path)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.told = b""

    def read(self) -> bool:
        """Read what it tells; False at the end."""
        assert self.process.stdout is not None
        more = os.read(self.process.stdout.fileno(), 2**16)
        self.told += more
        return bool(more)

    def keys(self) -> set[bytes]:
        """Return the keys it told of in full."""
        return {self.told[at : at + KEY] for at in range(0, len(self.told) - KEY + 1, KEY)}

    def kill(self) -> None:
        """Kill it as the kernel would, and read the last it told."""
        self.process.kill()
        while self.read():
            pass
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def storm(path: Path, kills: int) -> set[bytes]:
    """Let processes write and die; return all keys they told of."""
    chance = random.Random(kills)
    writers = [Writer(path) for _ in range(WRITERS)]
    told: set[bytes] = set()
    for _ in range(kills):
        victim = chance.choice(writers)
        enough = len(victim.told) + 2 * KEY * chance.randrange(100)
        with selectors.DefaultSelector() as ready:
            for writer in writers:
                ready.register(writer.process.stdout, selectors.EVENT_READ, writer)
            while len(victim.told) < enough:
                for chosen, _ in ready.select():
                    assert chosen.data.read(), "a writer died by itself"
        victim.kill()
        told |= victim.keys()
        writers[writers.index(victim)] = Writer(path)
    for writer in writers:
        writer.kill()
        told |= writer.keys()
    return told


def check(path: Path, told: set[bytes]) -> tuple[int, int, str]:
    """Count what is lost and what is wrong, and let SQLite judge the file."""
    store = SQLite(path, limit="10GB")
    found = [(key, run(store.get((key,))).entries[0]) for key in told]
    run(store.close())
    database = sqlite3.connect(path)
    verdict = str(database.execute("PRAGMA integrity_check").fetchone()[0])
    database.close()
    lost = sum(it is None for _, it in found)
    return lost, sum(it is not None and it != entry(key) for key, it in found), verdict


def main(kills: int) -> int:
    """Run the storm and report; 0 if nothing was lost."""
    with tempfile.TemporaryDirectory() as folder:
        path, began = Path(folder) / "answers.db", time.monotonic()
        told = storm(path, kills)
        lost, wrong, verdict = check(path, told)
        aside = len(list(Path(folder).glob("*damaged*")))
    print(
        f"{kills} kills, {len(told)} acknowledged entries: {lost} lost, {wrong} wrong, "
        f"{aside} files set aside, integrity {verdict}, {time.monotonic() - began:.0f} s"
    )
    return 0 if (lost, wrong, aside, verdict) == (0, 0, 0, "ok") else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write(sys.argv[2])
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 100))
