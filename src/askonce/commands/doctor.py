"""`askonce doctor`: what could keep the cache from working, and how to mend it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from askonce.commands import checks, sdk_checks
from askonce.commands.checks import Check
from askonce.commands.opening import FilePlace, add_url, place
from askonce.commands.terminal import GREEN, RED, YELLOW, padded, painted, say, say_json, visible
from askonce.errors import ConfigError
from askonce.stores import POSTGRES

_COLOURS = {"ok": GREEN, "warn": YELLOW, "broken": RED}


def add(commands: Any) -> None:
    """Add this command to the parser."""
    doctor = commands.add_parser("doctor", help="say what keeps the cache from working")
    doctor.add_argument("place", nargs="?", metavar="URL", help="the same as --url URL")
    add_url(doctor)
    doctor.add_argument("--json", action="store_true", help="one JSON object")
    doctor.set_defaults(run=run_doctor)


def run_doctor(arguments: argparse.Namespace) -> int:
    """Check everything; 3 when something is broken."""
    if arguments.place is not None and arguments.url is not None:
        raise ConfigError("two stores are named: give either URL or --url URL")
    found: list[Check] = []
    for check in _all(arguments.place or arguments.url):
        found.append(check)
        if not arguments.json:
            _print(check)
    states = {check.state for check in found}
    worst = next(state for state in ("broken", "warn", "ok") if state in states)
    if arguments.json:
        say_json({"state": worst, "checks": [asdict(check) for check in found]})
    return 3 if worst == "broken" else 0


def _all(url: str | None) -> Iterator[Check]:
    yield checks.versions()
    found = place(url)
    if isinstance(found, FilePlace):
        yield from checks.store(found)
    elif found.url.partition("://")[0] in POSTGRES:
        from askonce.commands import postgres_checks

        yield from postgres_checks.store(found)
    else:
        from askonce.commands import redis_checks

        yield from redis_checks.store(found)
    yield checks.sealing()
    yield from sdk_checks.sdks()


def _print(check: Check) -> None:
    state = painted(padded(check.state, 6), _COLOURS[check.state])
    say(f"{state}  {check.name:<12}  {visible(check.says)}")
    if check.fix:
        say(f"{'':22}fix: {visible(check.fix)}")
