"""A graph of many vectors, in which the nearest are found without looking at all of them.

HNSW (Malkov and Yashunin, https://arxiv.org/abs/1603.09320), by usearch. It is saved to a file that
says by a digest what it should be, and whose rows it holds: a damaged graph would crash whoever
reads it.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy
from blake3 import blake3
from numpy.typing import NDArray

from askonce.indexes.vectors import Floats, Halves

FORMAT = 1
"""Raised when the file changes. A file of another format is not read."""

CONNECTIVITY, WHEN_ADDING, WHEN_SEARCHING = 16, 128, 96
"""Neighbours of each vector, and how many are looked at: bench/indexes.py says what they give."""

_MAGIC = b"aongraph"
_END = len(_MAGIC) + 4
_MOST_FACTS = 2**16


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """What the file of a graph says of itself, at its end."""

    format: int
    identity: bytes
    """Of the journal whose rows these are."""
    embedder: str
    dimension: int
    scope: bytes
    last: int
    """The last row it holds."""
    digest: bytes = b""
    """BLAKE3 of all before these facts."""

    def is_of(self, other: Facts) -> bool:
        """Say whether this is a graph of the same scope, by the same embedder and journal."""
        return _without_state(self) == _without_state(other)


class Graph:
    """Vectors by the ids of their rows. Not for two threads at once."""

    def __init__(self, dimension: int) -> None:
        # Only whoever has many wordings waits for the import, some 50 ms.
        from usearch.index import Index

        self._index: Any = Index(
            ndim=dimension,
            metric="cos",
            dtype="f16",
            connectivity=CONNECTIVITY,
            expansion_add=WHEN_ADDING,
            expansion_search=WHEN_SEARCHING,
        )
        self.last = 0
        """The id of the last row added."""

    def __len__(self) -> int:
        return len(self._index)

    def add(self, ids: NDArray[numpy.uint64], rows: Halves) -> None:
        """Add rows, whose ids rise."""
        self._index.add(ids, rows, threads=1)
        self.last = int(ids[-1])

    def search(self, asked: Floats, count: int) -> tuple[list[int], list[float]]:
        """Return the ids of the nearest and their cosines, nearly always the right ones."""
        found = self._index.search(asked, count, threads=1)
        return found.keys.tolist(), (1.0 - found.distances).tolist()

    def save(self, path: Path, facts: Facts) -> None:
        """Write it to a file, whole or not at all. Raises OSError."""
        part = Path(f"{path}.{os.getpid()}")
        try:
            os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
            self._index.save(str(part))
            written = msgspec.structs.replace(facts, last=self.last, digest=_digest(part))
            packed = msgspec.msgpack.encode(written)
            with part.open("ab") as file:
                file.write(packed + len(packed).to_bytes(4, "little") + _MAGIC)
            part.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise

    def load(self, path: Path, facts: Facts) -> None:
        """Take what a file holds, if it is of the scope that `facts` name. Warns of a damaged one.

        Of a file that is missing, damaged or of something else the graph stays empty.
        """
        try:
            said, size = _read_facts(path)
            if said is None or not said.is_of(facts):
                return
            _check_digest(path, size, said.digest)
            self._index.load(str(path))
            self.last = said.last
        except FileNotFoundError:
            return
        except Exception as error:  # noqa: BLE001 (whatever is wrong with it, it is built anew)
            self._index.reset()
            self.last = 0
            logging.getLogger("askonce").warning(
                "the graph file %s is damaged (%s); it is built anew", path, error
            )
            with contextlib.suppress(OSError):
                path.unlink()


def saved(path: Path) -> Facts | None:
    """Read what a file says of itself; None if it says nothing."""
    try:
        return _read_facts(path)[0]
    except (OSError, ValueError, msgspec.MsgspecError):
        return None


def _read_facts(path: Path) -> tuple[Facts | None, int]:
    """Return the facts, and the size of the graph before them; no facts in another format."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END))
        end = file.read(_END)
        length = int.from_bytes(end[:4], "little")
        if end[4:] != _MAGIC or length > min(size - _END, _MOST_FACTS):
            raise ValueError("it was cut short")
        file.seek(size - _END - length)
        packed = file.read(length)
    said = msgspec.msgpack.decode(packed)
    if not isinstance(said, list) or not said or said[0] != FORMAT:
        return None, 0
    return msgspec.convert(said, Facts), size - _END - length


def _check_digest(path: Path, size: int, digest: bytes) -> None:
    if _digest(path, size) != digest:
        raise ValueError("its digest is wrong")


def _digest(path: Path, size: int | None = None) -> bytes:
    digest, left = blake3(), path.stat().st_size if size is None else size
    with path.open("rb") as file:
        while left > 0 and (piece := file.read(min(left, 2**22))):
            digest.update(piece)
            left -= len(piece)
    return digest.digest()


def _without_state(facts: Facts) -> Facts:
    return msgspec.structs.replace(facts, last=0, digest=b"")
