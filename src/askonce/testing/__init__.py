"""For tests: a fake upstream that speaks the providers' wire formats, and contracts.

These say what a store, an index and a ledger promise, as tests.

Real Redis and Valkey servers, and a network that fails, are in `askonce.testing.servers`,
`clusters`, `sentinels` and `proxies`; `askonce.testing.binaries` says which are installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from askonce.testing.fake_upstream import FakeUpstream

if TYPE_CHECKING:
    from askonce.testing.embedder_contract import EmbedderContract
    from askonce.testing.index_contract import (
        IndexContract,
        LedgerContract,
        ServedIndexContract,
        SharedIndexContract,
        SharedLedgerContract,
    )
    from askonce.testing.store_contract import StoreContract

__all__ = [
    "EmbedderContract",
    "FakeUpstream",
    "IndexContract",
    "LedgerContract",
    "ServedIndexContract",
    "SharedIndexContract",
    "SharedLedgerContract",
    "StoreContract",
]

_CONTRACTS = {
    "EmbedderContract": "embedder_contract",
    "StoreContract": "store_contract",
    "IndexContract": "index_contract",
    "LedgerContract": "index_contract",
    "ServedIndexContract": "index_contract",
    "SharedIndexContract": "index_contract",
    "SharedLedgerContract": "index_contract",
}


def __getattr__(name: str) -> Any:
    # The contracts need pytest, hypothesis and numpy, which the demo's fake upstream must not.
    if name not in _CONTRACTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    import pytest

    module = f"{__name__}.{_CONTRACTS[name]}"
    pytest.register_assert_rewrite(module)
    return getattr(importlib.import_module(module), name)
