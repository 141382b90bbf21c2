"""Sample slots: distinct answers to one request, kept apart and replayed in order."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from blake3 import blake3

from askonce import keys
from askonce.errors import ConfigError


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Gives the equal calls of one `using` block the slots 0 to `count` - 1, in turn.

    Whoever repeats the block with as many calls, one after another, is given the same answers in
    the same order. Inside a function that has slot s itself, the first call of a key gets s.
    """

    count: int
    first: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _taken: dict[bytes, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if type(self.count) is not int or self.count < 1:
            raise ConfigError(f"sample={self.count!r}: say how many answers to keep apart, from 1")

    def take(self, key: bytes) -> int:
        """Return the slot of the next call with this key."""
        with self._lock:
            taken = self._taken.get(key, 0)
            self._taken[key] = taken + 1
        return (self.first + taken) % self.count


def slotted(key: bytes, slot: int) -> bytes:
    """Return the key of a slot. The first one is that of the request itself."""
    return blake3(key + slot.to_bytes(4, "big")).digest(keys.LENGTH) if slot else key
