"""What was found right and wrong before askonce was shipped, on pairs the models never saw."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from askonce.semantic.evidence import CELLS, Tally


class _Counts(msgspec.Struct):
    right: tuple[int, ...]
    wrong: tuple[int, ...]


class _File(msgspec.Struct):
    lanes: dict[str, _Counts]


def shipped() -> Mapping[str, Tally]:
    """Return the counts by lane; none where the models are not installed."""
    try:
        import askonce_models

        path = askonce_models.path("calibration.json")
    except (ImportError, FileNotFoundError):
        return {}
    return read(path)


def read(path: Path) -> Mapping[str, Tally]:
    """Read such counts from a file. Raises what reading raises, and ValueError for another form."""
    found = msgspec.json.decode(path.read_bytes(), type=_File)
    if any(len(it.right) != CELLS or len(it.wrong) != CELLS for it in found.lanes.values()):
        raise ValueError(f"{path.name} was made for another number of cells than {CELLS}")
    return {lane: Tally(it.right, it.wrong) for lane, it in found.lanes.items()}
