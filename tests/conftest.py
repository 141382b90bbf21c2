"""Fixtures shared by the tests: real local upstreams and servers, and caches that talk to them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from functools import cache as remembered
from pathlib import Path
from typing import TypeVar

import pytest

from askonce import Cache
from askonce.testing import FakeUpstream, postgres
from askonce.testing.binaries import ENGINES, Binary, find
from askonce.testing.certificates import Certificates, make_certificates
from askonce.testing.clusters import Cluster
from askonce.testing.postgres import Postgres
from askonce.testing.sentinels import Sentinels
from askonce.testing.servers import Server

# Some tests import it themselves; askonce sees to it for everybody else.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

T = TypeVar("T")


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as server:
        yield server


@pytest.fixture
def cache() -> Iterator[Cache]:
    with Cache("memory://", strict=True) as made:
        yield made


@pytest.fixture
def opened() -> Iterator[Callable[[T], T]]:
    """Open something, a client of an SDK for one, until the test is over."""
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture
def finishes() -> Callable[[Callable[[], T]], T]:
    """Do some work in a thread of its own; fail if it hangs, as it would for its whole patience."""

    def do(work: Callable[[], T]) -> T:
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except BaseException as error:
                done.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return done.result(30)

    return do


@pytest.fixture
def url(tmp_path) -> str:
    """The URL of a SQLite store of this test's own."""
    return f"sqlite:///{tmp_path}/answers.db"


@pytest.fixture(scope="session")
def engine() -> Callable[[str], Binary]:
    """Find an engine of `askonce.testing.binaries` by name, or skip the test and say why."""
    find_once = remembered(find)

    def find_or_skip(name: str) -> Binary:
        binary = find_once(name)
        if binary is None:
            pytest.skip(f"no {name} here: {ENGINES[name].install}")
        return binary

    return find_or_skip


# Servers that all tests of a session share: use keys of your own, and neither kill nor flush them.


@pytest.fixture(scope="session")
def valkey(engine) -> Iterator[Server]:
    with Server(engine("valkey9")) as server:
        yield server


@pytest.fixture(scope="session")
def redis8(engine) -> Iterator[Server]:
    with Server(engine("redis8")) as server:
        yield server


@pytest.fixture(scope="session")
def redis7(engine) -> Iterator[Server]:
    with Server(engine("redis7")) as server:
        yield server


@pytest.fixture(scope="session")
def certificates(tmp_path_factory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def redis_tls(engine, certificates) -> Iterator[Server]:
    with Server(engine("redis7"), tls=certificates) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster(engine) -> Iterator[Cluster]:
    with Cluster(engine("valkey9")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def redis_sentinel(engine) -> Iterator[Sentinels]:
    with Sentinels(engine("redis8")) as watched:
        yield watched


@pytest.fixture(scope="session")
def postgres_programs() -> Path:
    programs = postgres.find()
    if programs is None:
        pytest.skip(f"no PostgreSQL here: {postgres.INSTALL}")
    return programs


@pytest.fixture(scope="session")
def postgresql(postgres_programs) -> Iterator[Postgres]:
    with Postgres(postgres_programs) as server:
        yield server
