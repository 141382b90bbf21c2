"""Where a run was made: the machine, the versions, and what else kept it busy."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sqlite3
from pathlib import Path

VERSIONS = """
    askonce orjson msgspec blake3 cramjam openai httpx2 pydantic litellm dspy diskcache
    langchain-core langchain-openai langchain-community sqlalchemy
""".split()


def facts() -> dict[str, str | int]:
    """Name the machine, without anything that says whose it is."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
    }


def versions() -> dict[str, str]:
    """Say which version of each package was there."""
    return {name: _version(name) for name in VERSIONS}


def load() -> float | None:
    """Return the average number of busy processes of the last minute, our own included."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return "unknown"
    return f"{size / 2**30:.0f} GB"
