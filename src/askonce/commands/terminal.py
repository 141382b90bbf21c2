"""What people see: lines, tables, colours, and a bar while they wait."""

from __future__ import annotations

import os
import shutil
import sys
import time
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TextIO

from askonce.dialects.wire import encode

WIDTH = 120
"""Columns of output that goes to no terminal."""

PATIENCE = 0.3
"""Seconds of work before a bar is shown: what is done sooner needs none."""

BETWEEN_FRAMES = 0.1


def say(line: str = "") -> None:
    """Write a line to stdout."""
    sys.stdout.write(f"{line}\n")


def tell(line: str) -> None:
    """Write a line to stderr, which no program reads."""
    sys.stderr.write(f"{line}\n")


def say_json(value: Any) -> None:
    """Write a value to stdout as JSON, on one line."""
    say(encode(value))


def width() -> int:
    """Say how many columns there are."""
    return shutil.get_terminal_size((WIDTH, 24)).columns


def painted(text: str, colour: int, stream: TextIO | None = None) -> str:
    """Colour a text (ANSI 30 to 37) for a terminal; elsewhere, and with NO_COLOR, leave it."""
    stream = stream or sys.stdout
    if not stream.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


GREEN, YELLOW, RED, FAINT = 32, 33, 31, 2


def plain(text: str) -> str:
    """Put a text on one line, without anything that a terminal would obey."""
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(letter for letter in line if letter.isprintable())


def visible(text: str) -> str:
    """Write what a terminal would obey, or not show, as escapes."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def columns(text: str) -> int:
    """Say how many columns a text takes (https://www.unicode.org/reports/tr11/)."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def cut(text: str, most: int) -> str:
    """Shorten a text to so many columns."""
    if columns(text) <= most:
        return text
    kept, room = "", most - 1
    for letter in text:
        room -= _columns(letter)
        if room < 0:
            break
        kept += letter
    return f"{kept.rstrip()}…"


def padded(text: str, size: int, *, right: bool = False) -> str:
    """Fill a text up with blanks to so many columns."""
    blanks = " " * (size - columns(text))
    return blanks + text if right else text + blanks


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Iterable[int] = ()
) -> list[str]:
    """Lay out rows under a header; the last column takes what room is left.

    `right` names the columns that are set to the right.
    """
    cells = [header, *rows]
    sizes = [max(columns(row[place]) for row in cells) for place in range(len(header))]
    sizes[-1] = max(columns(header[-1]), width() - sum(sizes[:-1]) - 2 * (len(sizes) - 1))
    numbers = frozenset(right)
    return [
        "  ".join(
            padded(cut(cell, size), size, right=place in numbers)
            for place, (cell, size) in enumerate(zip(row, sizes, strict=True))
        ).rstrip()
        for row in cells
    ]


@dataclass(slots=True)
class Progress:
    """A bar on stderr for work that takes its time; nothing where stderr is no terminal."""

    what: str
    _began: float = 0.0
    _drawn: float = 0.0

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def at(self, part: float, note: str = "") -> None:
        """Show that this part of the work, 0 to 1, is done."""
        now = time.monotonic()
        if now - max(self._began + PATIENCE - BETWEEN_FRAMES, self._drawn) < BETWEEN_FRAMES:
            return
        if not sys.stderr.isatty():
            return
        self._drawn = now
        filled = round(30 * min(1.0, max(0.0, part)))
        bar = "█" * filled + "░" * (30 - filled)
        sys.stderr.write(cut(f"\r{self.what} {bar} {part:4.0%}  {note}", width()) + "\x1b[K")
        sys.stderr.flush()
