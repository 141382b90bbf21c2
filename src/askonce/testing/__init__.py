"""For tests: a fake upstream that speaks the providers' wire formats, and what a store promises.

Real Redis and Valkey servers, and a network that fails, are in `askonce.testing.servers`,
`clusters`, `sentinels` and `proxies`; `askonce.testing.binaries` says which are installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from askonce.testing.fake_upstream import FakeUpstream

if TYPE_CHECKING:
    from askonce.testing.store_contract import StoreContract

__all__ = ["FakeUpstream", "StoreContract"]


def __getattr__(name: str) -> Any:
    # The contract needs pytest and hypothesis, which the demo's fake upstream must not.
    if name != "StoreContract":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pytest

    pytest.register_assert_rewrite("askonce.testing.store_contract")
    from askonce.testing.store_contract import StoreContract

    return StoreContract
