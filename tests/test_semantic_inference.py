"""No model phones home, and none leaves anything on the disk."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LOOK = """
from askonce.embedders.local import Local
Local().embed(["What is a cache?"])
"""


def run(folder, code):
    homes = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "TMPDIR"), str(folder))
    # Nothing else of ours: the runtime is quiet where it finds itself in a test or in CI.
    environment = {"PATH": os.environ["PATH"], **homes}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    return list(folder.iterdir())


def test_the_runtime_is_opened_without_its_telemetry(tmp_path):
    assert run(tmp_path, LOOK) == []


def test_it_would_leave_an_identifier_in_the_users_folder_by_itself(tmp_path):
    if not run(tmp_path, "import onnxruntime"):
        pytest.fail(
            "this runtime has no telemetry any more: `semantic/inference.py` may be simpler"
        )
