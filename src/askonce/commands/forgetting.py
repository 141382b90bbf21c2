"""`askonce forget`: dropping entries."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from typing import Any

from askonce.blocking import run
from askonce.commands.amounts import counted
from askonce.commands.looking import is_of
from askonce.commands.opening import (
    NothingFoundError,
    add_url,
    entries,
    opened,
    place,
    the_one,
)
from askonce.commands.terminal import say, say_json
from askonce.errors import ConfigError
from askonce.model import Entry
from askonce.stores.contract import Store

AT_ONCE = 500
"""Entries dropped in one transaction, so that programs can write in between."""


def add(commands: Any) -> None:
    """Add this command to the parser."""
    forget = commands.add_parser("forget", help="drop entries")
    add_url(forget)
    forget.add_argument("keys", nargs="*", metavar="KEY", help="a key, or as much as is unique")
    forget.add_argument("--model", metavar="NAME", help="all of this model; gpt-4* is a pattern")
    forget.add_argument("--expired", action="store_true", help="all that have expired")
    forget.add_argument("--all", action="store_true", help="everything")
    forget.add_argument("--json", action="store_true", help="one JSON object")
    forget.set_defaults(run=run_forget)


def run_forget(arguments: argparse.Namespace) -> int:
    """Drop entries and say how many there were; 1 when there were none."""
    sweeping = arguments.all or arguments.expired or arguments.model is not None
    if bool(arguments.keys) == sweeping:
        raise ConfigError("say what to forget: KEY..., or --all, --expired or --model NAME")
    if arguments.all and (arguments.expired or arguments.model is not None):
        raise ConfigError("--all is everything: leave it out, or else --expired and --model")
    with opened(place(arguments.url)) as store:
        if sweeping:
            dropped = _sweep(store, arguments)
        else:
            # All are looked up first: a key that is wrong leaves everything as it was.
            found = {key for key, _ in (the_one(store, prefix) for prefix in arguments.keys)}
            dropped = run(store.forget(sorted(found)))
    if arguments.json:
        say_json({"forgotten": dropped})
    elif dropped:
        say(f"forgot {counted(dropped, 'entry', 'entries')}")
    else:
        raise NothingFoundError("nothing to forget: no entry is of that kind")
    return 0 if dropped else 1


def _sweep(store: Store, arguments: argparse.Namespace) -> int:
    now, dropped = time.time(), 0
    batch: list[bytes] = []
    answers = 0
    for key, entry in entries(store, "forgetting"):
        if not _is_meant(entry, arguments, now):
            continue
        batch.append(key)
        answers += entry.kind != "alias"
        if len(batch) == AT_ONCE:
            dropped += _drop(store, batch, answers)
            batch, answers = [], 0
    return dropped + _drop(store, batch, answers)


def _drop(store: Store, batch: Iterable[bytes], answers: int) -> int:
    """Drop a batch; aliases go along, but people never saw them, so they are not counted."""
    run(store.forget(list(batch)))
    return answers


def _is_meant(entry: Entry, arguments: argparse.Namespace, now: float) -> bool:
    if entry.kind == "alias":
        # An alias without its entry leads nowhere, and is evicted in its turn.
        return bool(arguments.all)
    return is_of(entry, arguments.model) and not (arguments.expired and entry.fresh(now))
