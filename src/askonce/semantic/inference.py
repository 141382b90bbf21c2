"""Opens models with ONNX Runtime, which is kept from phoning home.

Since 1.29 its wheels for Linux send events to their maker from the import on, with an identifier
that they write into the user's cache folder (https://github.com/microsoft/onnxruntime/pull/27379).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

OPT_OUT = "ORT_DISABLE_TELEMETRY"
"""Read once, when the runtime is imported. Who imports it before us must set it before that."""


def session(model: Path, threads: int = 1) -> Any:
    """Open a model on this machine's processor, with so many threads for one run."""
    os.environ[OPT_OUT] = "1"
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3  # errors; its warnings speak of graph transformations
    return onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
