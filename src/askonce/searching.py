"""Opens what a search for near questions is made of. Nothing is imported before it is needed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from hashlib import sha256
from importlib.util import find_spec
from typing import Any

from askonce import indexes
from askonce.errors import ConfigError
from askonce.semantic import calibration
from askonce.semantic.contract import Embedder, Index, Ledger
from askonce.semantic.lanes import Verify
from askonce.semantic.search import Parts, Search
from askonce.semantic.tiers import Semantic
from askonce.stores import file_of

_NEEDED = ("numpy", "onnxruntime", "tokenizers", "askonce_models")
_OF_INDEX = ("numpy", "usearch")
_INSTALL = 'pip install "askonce[semantic]"'


def opener(semantic: Semantic, place: str | None, *, sealed: bool) -> Search | None:
    """Return the search of a cache whose store is at `place`; None where none is asked for.

    Raises ConfigError now for what could not be opened later. Opens nothing.
    """
    if not semantic.by_vectors:
        return None
    missing = _missing(_OF_INDEX if semantic.embedder is not None else (*_NEEDED, *_OF_INDEX))
    if missing:
        raise ConfigError(
            f"looking for near questions needs {missing}: {_INSTALL}, or use "
            "Semantic(direct=False, verified=False), which needs nothing"
        )
    if isinstance(semantic.index, str):
        indexes.check(semantic.index)
    index = place if semantic.index is None else semantic.index
    if sealed and index != "memory://":
        raise ConfigError(
            "an index keeps questions in the clear, which secrets are to hide: use "
            'Semantic(index="memory://"), or Semantic(direct=False, verified=False)'
        )
    return Search(
        partial(_open, semantic, index),
        max_error=semantic.max_error,
        audits=semantic.audits,
        direct=semantic.direct,
    )


def check_models() -> None:
    """Raise ConfigError where the shipped models cannot be used."""
    missing = _missing(_NEEDED)
    if missing:
        raise ConfigError(f"this needs {missing}: {_INSTALL}")


def _missing(needed: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(name for name in needed if find_spec(name) is None))


def _open(semantic: Semantic, place: str | Index | None) -> Parts:
    embedder = semantic.embedder or _local()
    index, ledger = _index(place, embedder)
    # What was counted is of the shipped embedder: the cosines of another one say something else.
    is_shipped = _is_shipped(embedder)
    holds = semantic.calibration is not None and is_shipped
    return Parts(
        embedder,
        index,
        ledger,
        verify(),
        calibration.shipped() if holds else {},
        counted="" if is_shipped else f"{sha256(embedder.name.encode()).hexdigest()[:16]}:",
        owned=isinstance(place, str | None),
    )


def _local() -> Embedder:
    from askonce.embedders.local import Local

    return Local()


def _is_shipped(embedder: Embedder) -> bool:
    try:
        return embedder.name == _local().name
    except ConfigError:  # it is not installed
        return False


def verify() -> Verify | None:
    """Return what reads two questions side by side, where its weights are installed."""
    if any(find_spec(name) is None for name in _NEEDED):
        return None
    import askonce_models

    try:
        askonce_models.path("verifier.onnx")
    except FileNotFoundError:  # an older release of the models
        return None
    from askonce.semantic.verifier import Verifier

    verifier = Verifier()
    return lambda old, new: verifier.scores([(old, new)])[0]


def _index(place: str | Index | None, embedder: Embedder) -> tuple[Index, Ledger]:
    """Open the index of a store, or another one, and the counts that are kept in it."""
    named: Any = {"embedder": embedder.name, "dimension": embedder.dimension}
    if not isinstance(place, str | None):
        ledger = getattr(place, "ledger", None) or indexes.open_index("memory://", **named).ledger
        return place, ledger
    # The default file is named in one place only.
    index = indexes.open_index(place or f"sqlite:///{file_of(place)}", **named)
    return index, index.ledger
