"""From what an index found, those that are alive, the nearest first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from askonce.indexes import vectors
from askonce.semantic.contract import Neighbour, Wording

SPARE = 4
"""Rows searched for beyond those wanted, in place of some that may be gone."""

MOST = 2048
"""Rows searched for at most: what is alive behind so many that are gone is not found."""


class Read(NamedTuple):
    """A wording as it was read, with its vector as bytes of halves."""

    wording: Wording
    vector: bytes


def is_alive(wording: Wording, now: float) -> bool:
    """Say whether a wording may still be of use."""
    return wording.expires is None or wording.expires > now


def search(
    find: Callable[[int], Sequence[Read | None]],
    asked: vectors.Floats,
    count: int,
    *,
    scope: bytes,
    now: float,
) -> list[Neighbour]:
    """Find so many that are alive. `find` returns the nearest it has, and None for what is gone."""
    if count <= 0:
        return []
    wanted = count + SPARE
    while True:
        found = find(wanted)
        alive = [
            it
            for it in found
            if it is not None and it.wording.scope == scope and is_alive(it.wording, now)
        ]
        if len(alive) >= count or len(found) < wanted or wanted >= MOST:
            return ranked(alive, asked, count)
        wanted = min(4 * wanted, MOST)


def ranked(found: Sequence[Read], asked: vectors.Floats, count: int) -> list[Neighbour]:
    """Order what was found by its true cosines."""
    rows = [it for it in found if len(it.vector) == 2 * len(asked)]
    if not rows or count <= 0:
        return []
    cosines = vectors.units(vectors.parsed([it.vector for it in rows], len(asked))) @ asked
    best = vectors.best(cosines, count)
    return [Neighbour(rows[place].wording, float(cosines[place])) for place in best]
