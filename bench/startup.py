"""What an import costs: the milliseconds that `python -X importtime` counts for a package.

That is all it brings along, timed as Python does, which makes it some percent slower.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

from rows import ANY, Budget, Row, failure
from timing import Pace, quantile

GROUP = "Import, files in the page cache"
PACKAGES = {
    "askonce": Budget(most=60),
    "openai": ANY,
    "langchain_openai": ANY,
    "dspy": ANY,
    "litellm": ANY,
}


def measure(pace: Pace) -> Iterator[Row]:
    """Import each package in processes of its own."""
    for package, budget in PACKAGES.items():
        try:
            _milliseconds(package)  # writes the bytecode
            taken = sorted(_milliseconds(package) for _ in range(pace.repeats))
        except Exception as error:
            yield failure(GROUP, f"import {package}", error, budget=budget)
            continue
        yield Row(
            GROUP,
            f"import {package}",
            "ms",
            quantile(taken, 0.5),
            quantile(taken, 0.99),
            budget=budget,
            calls=len(taken),
        )


def _milliseconds(package: str) -> float:
    command = [sys.executable, "-X", "importtime", "-c", f"import {package}"]
    # A package that pip installs has its bytecode; ours is written by the first import.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    # import time: self [us] | cumulative | imported package; what is indented belongs to others.
    for line in done.stderr.splitlines():
        columns = line.split("|")
        if len(columns) == 3 and columns[2] == f" {package}":
            return int(columns[1]) / 1000
    raise RuntimeError(f"importtime does not name {package}")
