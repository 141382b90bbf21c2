"""Files of labelled questions, one JSON object a line, plain or compressed by gzip."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from askonce.errors import ConfigError

_GZIP = b"\x1f\x8b"

T = TypeVar("T")


class Pair(msgspec.Struct, frozen=True):
    """Two questions, and 1 if one answer serves both, else 0. Other members are passed over."""

    q1: str
    q2: str
    label: int

    def __post_init__(self) -> None:
        if self.label not in (0, 1):
            raise ValueError(f"`label` is 1 (one answer serves both) or 0, not {self.label}")


class Question(msgspec.Struct, frozen=True):
    """A question of a stream. Questions with one answer have one `answer_id`."""

    text: str
    answer_id: str | int


class Judged(msgspec.Struct, frozen=True):
    """What a lane offered, and whether it was right: a line of what `Semantic(log=...)` writes."""

    lane: str
    score: float
    right: bool
    old: str = ""
    new: str = ""

    def __post_init__(self) -> None:
        if not 0.0 <= self.score <= 1.0:
            raise ValueError(f"`score` is from 0 to 1, not {self.score}")


def read(path: Path, of: type[T], example: str) -> list[T]:
    """Read a file of such lines. Raises ConfigError that names the line, and shows what it is not.

    `example` is a line as it should be. Empty lines are passed over.
    """
    decode = msgspec.json.Decoder(of).decode
    found: list[T] = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            found.append(decode(line))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ConfigError(
                f"{path}, line {number}: {error}; a line is like {example}"
            ) from error
    if not found:
        raise ConfigError(f"{path} has no lines; a line is like {example}")
    return found


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            packed = file.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
            if packed:
                with gzip.open(file) as unpacked:
                    yield from unpacked
            else:
                yield from file
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder: name a file") from error
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is not there: name a file of JSON lines") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ConfigError(f"{path} is damaged ({error}): compress it anew") from error
