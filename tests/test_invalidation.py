"""Processes call a chain while another one changes its document and invalidates.

`bench/invalidation.py` does the same with more of both, over Redis too.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import invalidation


@pytest.fixture(params=["chain", "untagged"])
def played(request, tmp_path):
    with invalidation.one_file() as stage:
        return invalidation.play(request.param, stage, tmp_path, readers=2, most=50)


def test_no_process_is_served_what_was_invalidated_before_it_called(played):
    assert len(played.changes) == 50
    assert played.errors == []
    assert played.hits > 0
    # Without its tag the chain goes on being served: then this must be seen.
    assert bool(invalidation.stale(played)) == (played.kind == "untagged")
