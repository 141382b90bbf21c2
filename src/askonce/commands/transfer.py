"""`askonce export` and `import`: a store as a file of lines, and back.

Imported entries take the versions that their tags have in the store they come to: whoever imports
says that nothing was invalidated since the export. The command reminds of it.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import structs

from askonce import __version__
from askonce.blocking import run
from askonce.commands import lines
from askonce.commands.amounts import counted
from askonce.commands.opening import add_url, entries, opened, place
from askonce.commands.terminal import Progress, say, say_json, tell
from askonce.documents import is_of
from askonce.errors import ConfigError, StoreError
from askonce.model import Entry
from askonce.stores.contract import Store

AT_ONCE = 200
"""Entries kept in one transaction."""

MOST_BYTES = 8 * 2**20
"""Bytes of entries kept in one transaction."""


def add(commands: Any) -> None:
    """Add these commands to the parser."""
    export = commands.add_parser("export", help="write all entries to a file of JSON lines")
    add_url(export)
    export.add_argument("file", metavar="FILE", help="- is stdout; FILE.gz is compressed")
    export.add_argument("--json", action="store_true", help="one JSON object when done")
    export.set_defaults(run=run_export)

    importing = commands.add_parser(
        "import",
        help="read entries from an exported file",
        description="Entries that are there already stay as they are. Entries with tags take the "
        "versions that the tags have in this store: invalidate again what has changed meanwhile.",
    )
    add_url(importing)
    importing.add_argument("file", metavar="FILE", help="- is stdin; FILE.gz is uncompressed")
    importing.add_argument("--overwrite", action="store_true", help="replace what is there")
    importing.add_argument("--json", action="store_true", help="one JSON object when done")
    importing.set_defaults(run=run_import)


# export


def run_export(arguments: argparse.Namespace) -> int:
    """Write all entries to a file."""
    answers = aliases = left_out = 0
    with opened(place(arguments.url)) as store, _writing(arguments.file) as write:
        write(lines.write_head(__version__, time.time()))
        for key, entry in entries(store, "exporting"):
            if entry.kind == "sealed" and entry.tags:
                # The versions of its tags are sealed in with it, and mean nothing elsewhere.
                left_out += 1
                continue
            write(lines.write_entry(key, entry))
            aliases += entry.kind == "alias"
            answers += entry.kind != "alias"
    if left_out:
        tell(f"note: left out {counted(left_out, 'sealed entry', 'sealed entries')} with tags")
    if arguments.file == "-":
        return 0
    if arguments.json:
        say_json({"file": arguments.file, "entries": answers, "aliases": aliases})
    else:
        known = f" and {counted(aliases, 'alias', 'aliases')}" if aliases else ""
        say(f"exported {counted(answers, 'entry', 'entries')}{known} to {arguments.file}")
    return 0


@contextlib.contextmanager
def _writing(name: str) -> Iterator[Callable[[bytes], object]]:
    """Open the file to export to. It gets its name when it is whole; only its owner may read it."""
    if name == "-":
        yield sys.stdout.buffer.write
        return
    target = Path(name)
    if target.is_dir() or not target.parent.is_dir():
        where = "is a folder" if target.is_dir() else "is in no folder that exists"
        raise ConfigError(f"{name} {where}: name a file in a folder that exists")
    if target.exists() and not target.is_file():
        with target.open("wb") as device:
            yield device.write
        return
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
            if name.endswith(".gz"):
                with gzip.GzipFile(fileobj=f, mode="wb", filename="", mtime=0) as packed:
                    yield packed.write
            else:
                yield f.write
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


# import


@dataclass(slots=True)
class Import:
    """Keeps entries in a store, some at a time, and counts them."""

    store: Store
    overwrite: bool
    entries: int = 0
    aliases: int = 0
    kept: int = 0
    tags: set[str] = field(default_factory=set)
    _batch: dict[bytes, Entry] = field(default_factory=dict)
    _bytes: int = 0

    def take(self, key: bytes, entry: Entry) -> None:
        """Take one entry; it is in the store after `finish` at the latest."""
        self._batch[key] = entry
        self._bytes += len(entry.body)
        if len(self._batch) >= AT_ONCE or self._bytes >= MOST_BYTES:
            self.finish()

    def finish(self) -> None:
        """Keep what was taken since the last time, all or none."""
        batch, self._batch, self._bytes = self._batch, {}, 0
        if not batch:
            return
        if not self.overwrite:
            now = time.time()
            there = run(self.store.get(list(batch))).entries
            for key, entry in zip(list(batch), there, strict=True):
                if entry is not None and entry.fresh(now):
                    del batch[key]
                    self.kept += entry.kind != "alias"
        names = {tag for entry in batch.values() for tag in entry.tags}
        versions = run(self.store.get((), sorted(names))).versions
        run(self.store.put({key: _with_versions(batch[key], versions) for key in batch}))
        self.tags |= names
        self.aliases += sum(entry.kind == "alias" for entry in batch.values())
        self.entries += sum(entry.kind != "alias" for entry in batch.values())


def _with_versions(entry: Entry, versions: Any) -> Entry:
    # What was made from a content that is not the one declared here is dead until it is.
    tags = {
        tag: versions[tag] if is_of(versions[tag], given) else given
        for tag, given in entry.tags.items()
    }
    return structs.replace(entry, tags=tags) if tags else entry


def run_import(arguments: argparse.Namespace) -> int:
    """Read entries from a file. What stands before a wrong line is kept."""
    with (
        _reading(arguments.file) as (source, part),
        opened(place(arguments.url), begin=True) as store,
        Progress("importing") as progress,
    ):
        taken = Import(store, arguments.overwrite)
        number = 1
        try:
            for line in _unbroken(source):
                if number == 1:
                    lines.check_head(line)
                elif line.strip():
                    taken.take(*lines.read_entry(line))
                progress.at(part(), f"{number - 1:,} lines")
                number += 1
            if number == 1:
                lines.check_head(b"")
        except lines.LineError as error:
            taken.finish()
            kept = "; the lines before it are imported" if number > 2 else ""
            raise StoreError(f"{arguments.file}, line {number}: {error}{kept}") from error
        taken.finish()
    _report(taken, as_json=arguments.json)
    return 0


def _unbroken(source: Iterable[bytes]) -> Iterator[bytes]:
    """Go through the lines; where a compressed file breaks off is a wrong line."""
    try:
        yield from source
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise lines.LineError(f"the compressed file is damaged ({error}); export again") from error


def _report(taken: Import, *, as_json: bool) -> None:
    if as_json:
        say_json(
            {
                "entries": taken.entries,
                "aliases": taken.aliases,
                "kept": taken.kept,
                "tags": sorted(taken.tags),
            }
        )
        return
    aliases = f" and {counted(taken.aliases, 'alias', 'aliases')}" if taken.aliases else ""
    kept = f"; {taken.kept:,} were there and stay as they are" if taken.kept else ""
    say(f"imported {counted(taken.entries, 'entry', 'entries')}{aliases}{kept}")
    if taken.tags:
        tell(
            f"note: what depends on {counted(len(taken.tags), 'tag')} is alive again; "
            "invalidate what has changed since the export"
        )


@contextlib.contextmanager
def _reading(name: str) -> Iterator[tuple[Iterable[bytes], Callable[[], float]]]:
    """Open the file to import, and say which part of it was read."""
    if name == "-":
        yield sys.stdin.buffer, lambda: 0.0
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise ConfigError(f"{name} cannot be read ({error.strerror}): name an export") from error
    with file:
        total = max(1, os.fstat(file.fileno()).st_size)

        def part() -> float:
            return file.tell() / total

        if name.endswith(".gz"):
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked, part
        else:
            yield file, part
