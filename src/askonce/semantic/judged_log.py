"""The file of judged pairs that `Semantic(log=...)` asks for, and `askonce tune` reads."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from askonce.semantic.lanes import Offer


class Log:
    """Adds judged pairs to a file of JSON lines, if there is to be one."""

    def __init__(self, path: str | Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()

    def add(self, offers: Iterable[Offer], question: str, *, right: bool) -> None:
        """Add one line for each lane's offer. Raises OSError where it cannot be written."""
        if self._path is None:
            return
        lines = [
            json.dumps(
                {
                    "lane": it.lane,
                    "score": round(it.score, 6),
                    "right": right,
                    "similarity": round(it.neighbour.similarity, 4),
                    "old": it.neighbour.wording.text,
                    "new": question,
                }
            )
            for it in offers
        ]
        with self._lock, open(self._path, "a", encoding="utf-8", opener=_private) as file:
            file.writelines(f"{line}\n" for line in lines)


def _private(path: str, flags: int) -> int:
    # It holds questions.
    return os.open(path, flags, 0o600)
