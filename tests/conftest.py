"""Fixtures shared by the tests: a real local upstream, and caches that talk to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from askonce import Cache
from askonce.testing import FakeUpstream


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as server:
        yield server


@pytest.fixture
def cache() -> Iterator[Cache]:
    with Cache("memory://", strict=True) as made:
        yield made


@pytest.fixture
def url(tmp_path) -> str:
    """The URL of a SQLite store of this test's own."""
    return f"sqlite:///{tmp_path}/answers.db"
