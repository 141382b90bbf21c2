"""`askonce stats`, `ls` and `show`: what a store holds."""

from __future__ import annotations

import argparse
import dataclasses
import heapq
import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from askonce.commands import answers, terminal
from askonce.commands.amounts import age, counted, moment, size
from askonce.commands.opening import (
    FilePlace,
    NothingFoundError,
    Place,
    add_url,
    entries,
    opened,
    place,
    the_one,
)
from askonce.commands.terminal import say, say_json, tell
from askonce.model import Entry

SHOWN = 12
"""Digits of a key in a list: two keys out of a million share them once in 500 stores."""

NARROW = 110
"""Columns below which a list leaves out sizes and dialects, so that answers have room."""


def add(commands: Any) -> None:
    """Add these commands to the parser."""
    stats = commands.add_parser("stats", help="say what the store holds")
    add_url(stats)
    stats.add_argument("--json", action="store_true", help="one JSON object")
    stats.set_defaults(run=run_stats)

    ls = commands.add_parser("ls", help="list entries, the newest first")
    add_url(ls)
    ls.add_argument("--model", metavar="NAME", help="of this model only; gpt-4* is a pattern")
    ls.add_argument(
        "--limit", type=_limit, default=50, metavar="N", help="at most N (default 50); 0 for all"
    )
    ls.add_argument("--json", action="store_true", help="one JSON object on each line")
    ls.set_defaults(run=run_ls)

    show = commands.add_parser("show", help="show one entry, whole")
    add_url(show)
    show.add_argument("key", metavar="KEY", help="a key, or as much of it as is unique")
    show.add_argument("--json", action="store_true", help="one JSON object")
    show.set_defaults(run=run_show)


def _limit(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of entries: use 0, 1, 2, ...")
    return int(text)


def is_of(entry: Entry, model: str | None) -> bool:
    """Say whether an entry is of a model, given by its name or as a shell pattern."""
    return model is None or fnmatchcase(entry.model.lower(), model.lower())


def facts(key: bytes, entry: Entry) -> dict[str, Any]:
    """Everything known of an entry but its answer."""
    return {
        "key": key.hex(),
        "model": entry.model,
        "dialect": entry.dialect,
        "kind": entry.kind,
        "created": entry.created,
        "expires": entry.expires,
        "bytes": len(entry.body),
        "streamed": entry.streamed,
        "unpinned": entry.unpinned,
        "usage": dict(entry.usage),
        "tags": sorted(entry.tags),
    }


# stats


@dataclass(slots=True)
class Totals:
    """What a store holds, added up."""

    entries: int = 0
    aliases: int = 0
    bytes: int = 0
    tokens: int = 0
    tagged: int = 0
    expired: int = 0
    streamed: int = 0
    unpinned: int = 0
    sealed: int = 0
    oldest: float | None = None
    newest: float | None = None
    dialects: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)

    def count(self, entry: Entry, now: float) -> None:
        """Add one entry."""
        if entry.kind == "alias":
            self.aliases += 1
            return
        self.entries += 1
        self.bytes += len(entry.body)
        self.tokens += entry.usage.get("total", 0)
        self.tagged += bool(entry.tags)
        self.expired += not entry.fresh(now)
        self.streamed += entry.streamed
        self.unpinned += entry.unpinned
        self.sealed += entry.kind == "sealed"
        self.oldest = min(entry.created, self.oldest or entry.created)
        self.newest = max(entry.created, self.newest or entry.created)
        self.dialects[entry.dialect] += 1
        self.models[entry.model] += 1

    def as_json(self) -> dict[str, Any]:
        """Everything by its name."""
        # Not `asdict`, which makes a counter count its own items.
        return {place.name: getattr(self, place.name) for place in dataclasses.fields(self)}


def run_stats(arguments: argparse.Namespace) -> int:
    """Say what the store holds; 1 when it holds nothing."""
    found, now, totals = place(arguments.url), time.time(), Totals()
    with opened(found) as store:
        for _, entry in entries(store, "counting"):
            totals.count(entry, now)
    file = _on_disk(found)
    if arguments.json:
        where = {"url": found.shown} if file is None else {"path": found.shown, "file_bytes": file}
        say_json({**where, **totals.as_json()})
    else:
        for line in _as_text(totals, found.shown, file, now):
            say(line)
    return 0 if totals.entries else 1


def _on_disk(found: Place) -> int | None:
    """Say how many bytes the file of a store has, and its log; None for a store without a file."""
    if not isinstance(found, FilePlace):
        return None
    paths = found.path, found.path.with_name(f"{found.path.name}-wal")
    return sum(path.stat().st_size for path in paths if path.exists())


def _as_text(totals: Totals, shown: str, file: int | None, now: float) -> list[str]:
    special = [
        f"{count:,} {name}"
        for name, count in (
            ("streamed", totals.streamed),
            ("tagged", totals.tagged),
            ("unpinned", totals.unpinned),
            ("sealed", totals.sealed),
            ("expired", totals.expired),
        )
        if count
    ]
    lines = [
        f"store     {shown}" + ("" if file is None else f" ({size(file)})"),
        f"entries   {totals.entries:,}" + (f" ({', '.join(special)})" if special else ""),
        f"aliases   {totals.aliases:,}",
        f"answers   {size(totals.bytes)}",
        f"tokens    {totals.tokens:,} saved by one hit on each",
    ]
    if totals.oldest is not None and totals.newest is not None:
        lines += [
            f"oldest    {moment(totals.oldest)} ({age(now - totals.oldest)} ago)",
            f"newest    {moment(totals.newest)} ({age(now - totals.newest)} ago)",
        ]
    for title, counts in (("DIALECT", totals.dialects), ("MODEL", totals.models)):
        rows = [(f"{count:,}", terminal.plain(name) or "-") for name, count in counts.most_common()]
        if rows:
            lines += ["", *terminal.table(("ENTRIES", title), rows, right=(0,))]
    return lines


# ls


def run_ls(arguments: argparse.Namespace) -> int:
    """List entries; 1 when there are none."""
    found, now = place(arguments.url), time.time()
    with opened(found) as store:
        listed = (
            (key, entry)
            for key, entry in entries(store, "listing")
            if entry.kind != "alias" and is_of(entry, arguments.model)
        )
        # One more than is shown tells whether there are more.
        rows = _newest(listed, arguments.limit + 1) if arguments.limit else _all(listed)
    if not rows:
        of = f" of {arguments.model}" if arguments.model else ""
        raise NothingFoundError(f"{found.shown} holds no entries{of}")
    shown = rows[: arguments.limit or None]
    if arguments.json:
        for row in shown:
            say_json(row)
    else:
        for line in _as_table(shown, now):
            say(line)
    if len(rows) > len(shown):
        tell(f"the newest {len(shown):,} are shown: --limit 0 lists all")
    return 0


def _newest(listed: Iterable[tuple[bytes, Entry]], most: int) -> list[dict[str, Any]]:
    """Hold no more entries than are shown: there may be a million."""
    found = heapq.nlargest(most, listed, key=lambda pair: pair[1].created)
    return [_row(key, entry) for key, entry in found]


def _all(listed: Iterable[tuple[bytes, Entry]]) -> list[dict[str, Any]]:
    rows = [_row(key, entry) for key, entry in listed]
    return sorted(rows, key=lambda row: float(row["created"]), reverse=True)


def _row(key: bytes, entry: Entry) -> dict[str, Any]:
    return {**facts(key, entry), "answer": answers.first_words(entry)}


def _as_table(rows: list[dict[str, Any]], now: float) -> list[str]:
    header = ["KEY", "AGE", "EXPIRES", "SIZE", "MODEL", "DIALECT", "ANSWER"]
    cells = [
        [
            row["key"][:SHOWN],
            age(now - row["created"]),
            _left(row["expires"], now),
            size(row["bytes"]),
            terminal.cut(terminal.plain(row["model"]), 24) or "-",
            terminal.cut(terminal.plain(row["dialect"]), 20) or "-",
            row["answer"],
        ]
        for row in rows
    ]
    if terminal.width() < NARROW:
        header, *cells = [[*line[:3], line[4], line[6]] for line in (header, *cells)]
    return terminal.table(header, cells, right=(1, 2, 3) if len(header) == 7 else (1, 2))


def _left(expires: float | None, now: float) -> str:
    if expires is None:
        return "never"
    return f"in {age(expires - now)}" if expires > now else "expired"


# show


def run_show(arguments: argparse.Namespace) -> int:
    """Show one entry; 1 when there is none."""
    now = time.time()
    with opened(place(arguments.url)) as store:
        key, entry = the_one(store, arguments.key)
    answer = answers.whole(entry)
    if arguments.json:
        say_json({**facts(key, entry), "headers": entry.headers, "answer": answer})
        return 0
    usage = ", ".join(
        counted(count, f"{terminal.plain(name)} token") for name, count in entry.usage.items()
    )
    expires = "never" if entry.expires is None else moment(entry.expires)
    for name, value in (
        ("key", key.hex()),
        ("model", terminal.plain(entry.model)),
        ("dialect", terminal.plain(entry.dialect)),
        ("created", f"{moment(entry.created)} ({age(now - entry.created)} ago)"),
        ("expires", f"{expires} ({_left(entry.expires, now)})" if entry.expires else expires),
        ("size", size(len(entry.body)) + (", recorded as a stream" if entry.streamed else "")),
        ("usage", usage),
        ("tags", ", ".join(sorted(map(terminal.plain, entry.tags)))),
        ("unpinned", "yes: the model has no temperature to set to 0" if entry.unpinned else ""),
    ):
        if value:
            say(f"{name:<10}{value}")
    say()
    say(_pretty(answer))
    return 0


def _pretty(answer: Any) -> str:
    if isinstance(answer, str):
        return "\n".join(map(_harmless, answer.split("\n")))
    return _harmless(json.dumps(answer, indent=2, ensure_ascii=False), kept="\n")


def _harmless(text: str, kept: str = "\t") -> str:
    return "".join(letter for letter in text if letter.isprintable() or letter in kept)
