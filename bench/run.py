"""Measure askonce beside its peers, in one run on one machine.

    make bench                                   everything, into bench/results/
    make bench ARGS="--quick"                    everything, in short; only printed
    make bench ARGS="exact clients --out here"   some of it, into the folder `here`

A scenario is a module with `measure(pace)`, which yields rows; to add one, write it and name it in
SCENARIOS. A peer that does not install or run is a row that says so.
"""

from __future__ import annotations

import argparse
import datetime
import logging
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import chains
import clients
import exact
import machine
import peers
import plot
import puts
import redis_hits
import report
import size
import sqlite
import stampede
import startup
from rows import Row, failure
from timing import FULL, QUICK, Pace

SCENARIOS: dict[str, Callable[[Pace], Iterable[Row]]] = {
    "exact": exact.measure,
    "clients": clients.measure,
    "sqlite": sqlite.measure,
    "puts": puts.measure,
    "redis": redis_hits.measure,
    "size": size.measure,
    "startup": startup.measure,
    "stampede": stampede.measure,
    "chains": chains.measure,
}

BROKEN = "a scenario broke"
RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for; 1 if something of ours could not be measured."""
    asked = _parse(arguments)
    names = asked.scenario or list(SCENARIOS)
    whole = not asked.scenario and not asked.quick
    folder = asked.out or (RESULTS if whole else None)
    load, began, clock = machine.load(), _now(), time.monotonic()
    rows = list(_printed(names, QUICK if asked.quick else FULL))
    facts: dict[str, Any] = {
        "began": began,
        "seconds": round(time.monotonic() - clock),
        "quick": asked.quick,
        "machine": machine.facts(),
        "load": {"start": load, "end": machine.load()},
        "versions": machine.versions(),
    }
    _sum_up(rows)
    if folder is not None:
        for path in [*report.write(folder, facts, rows), plot.draw(folder / "figures.svg", rows)]:
            print(f"wrote {path}")
    ours = [row for row in rows if row.failed and row.what.startswith(("askonce", BROKEN))]
    return 1 if ours else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure askonce beside its peers. Files lie in the folder for temporary "
        "files (TMPDIR); the largest takes 4 GB."
    )
    parser.add_argument("scenario", nargs="*", help=f"some of {', '.join(SCENARIOS)}; or all")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller; for a first look")
    parser.add_argument("--out", type=Path, help="where to write, in place of bench/results")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.scenario) - set(SCENARIOS):
        parser.error(f"no scenario is named {', '.join(sorted(unknown))}")
    return asked


def _printed(names: Sequence[str], pace: Pace) -> Iterator[Row]:
    """Run scenarios, and print each row as it comes. A scenario that breaks is a row too."""
    group = ""
    for name in names:
        for row in _guarded(name, pace):
            if row.group != group:
                group = row.group
                print(f"\n{group}", flush=True)
            print(report.line(row), flush=True)
            yield row


def _guarded(name: str, pace: Pace) -> Iterator[Row]:
    try:
        yield from SCENARIOS[name](pace)
    except Exception as error:
        yield failure(BROKEN, f"{BROKEN}: {name}", error)


def _sum_up(rows: Sequence[Row]) -> None:
    asked = [row for row in rows if row.budget.text(row.unit)]
    missed = [row for row in asked if row.met is False]
    failed = [row for row in rows if row.failed]
    print(f"\n{len(asked)} budgets, {len(missed)} missed; {len(failed)} rows not measured")
    for row in (*missed, *failed):
        print(f"  {row.group}: {row.what}")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _quietly(arguments: Sequence[str]) -> int:
    """Run with the peers' warnings off, and a folder of their own for what they write."""
    warnings.simplefilter("ignore")
    folder = tempfile.mkdtemp()
    try:
        peers.keep_quiet(folder)
        for name in ("LiteLLM", "httpx", "httpx2", "openai"):
            logging.getLogger(name).setLevel(logging.ERROR)
        return main(arguments)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    status = _quietly(sys.argv[1:])
    sys.stdout.flush()
    # Some peers keep threads that never end.
    os._exit(status)
