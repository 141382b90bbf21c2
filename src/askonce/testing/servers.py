"""Real Redis and Valkey servers, for tests of stores. POSIX only; needs no client library."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from askonce.testing.binaries import Binary
from askonce.testing.certificates import Certificates
from askonce.testing.ports import HOST, free_port
from askonce.testing.processes import Process, launch, wait_until
from askonce.testing.resp import Connection, Refused, Reply

_TRIES = 5


class Server:
    """A server of its own on 127.0.0.1 while the block lasts, then gone with its data.

        with Server(binary) as server:
            client = redis.Redis.from_url(server.url)

    `port` is a free one unless given. `password` is the default user's. With `tls` it speaks
    nothing else on its port. `config` holds lines of redis.conf, and of ACL: `appendonly yes`,
    `maxmemory 20mb`, `user reader on >secret ~* +@read`. Nothing is kept on disk by default.
    `arguments` come after the configuration on the command line.
    """

    def __init__(
        self,
        binary: Binary,
        *,
        port: int = 0,
        password: str = "",
        tls: Certificates | None = None,
        config: Sequence[str] = (),
        arguments: Sequence[str] = (),
    ) -> None:
        self.binary = binary
        self.port = port
        self.password = password
        self._tls = tls
        self._config = config
        self._arguments = arguments
        self._folder: Path | None = None
        self._process: Process | None = None
        self._paused = False

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="askonce-"))
        try:
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

    def close(self) -> None:
        """Kill it and remove its folder."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    @property
    def url(self) -> str:
        """Where clients connect: `redis://:password@127.0.0.1:15379`, or `rediss:`."""
        return f"{'rediss' if self._tls else 'redis'}://{credentials(self.password)}{self.address}"

    @property
    def unix_url(self) -> str:
        """The same server by its Unix socket: `unix://:password@/path`."""
        return f"unix://{credentials(self.password)}{self._socket}"

    @property
    def address(self) -> str:
        """Host and port: `127.0.0.1:15379`."""
        return f"{HOST}:{self.port}"

    @property
    def folder(self) -> Path:
        """Where it keeps its data, configuration and log while the block lasts."""
        if self._folder is None:
            raise RuntimeError("not started: use `with Server(binary) as server:`")
        return self._folder

    @property
    def log(self) -> str:
        """All that it has logged, over restarts."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The id of its process, the last one if it has ended."""
        if self._process is None:
            raise RuntimeError("not started: use `with Server(binary) as server:`")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether its process is there, answering or paused."""
        return self._process is not None and self._process.is_running

    @property
    def is_answering(self) -> bool:
        """Whether its process is there and not paused."""
        return self._process is not None and self._process.is_running and not self._paused

    def command(self, *words: str | int, timeout: float = 5.0) -> Reply:
        """Ask it one thing by its Unix socket, as the default user.

        Refused if it answers with an error, OSError if it does not answer.
        """
        with Connection(self._socket, timeout) as connection:
            if self.password:
                connection.command("AUTH", self.password)
            return connection.command(*words)

    def facts(self, *words: str) -> dict[str, str]:
        """Ask for lines of `name:value` (`INFO`, `CLUSTER INFO`), as a dict."""
        reply = self.command(*words)
        assert isinstance(reply, bytes)
        lines = (line.partition(":") for line in reply.decode().splitlines())
        return {name: value for name, mark, value in lines if mark}

    def change_password(self, password: str) -> None:
        """Set another password for the default user; open connections stay, as Redis has it.

        For a server by itself: replicas and sentinels are not told.
        """
        self.command("CONFIG", "SET", "requirepass", password)
        self.password = password
        self.command("CONFIG", "REWRITE")

    def kill(self) -> None:
        """Kill it with -9, paused or not; nothing if it is not running."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Let it shut down in order (SIGTERM); nothing if it is not running."""
        self.resume()
        self._end(signal.SIGTERM)

    def start(self) -> None:
        """Start it after `kill` or `stop`, on the same port and data; return when it answers."""
        if self.is_running:
            raise RuntimeError("it is running already")
        began = len(self.log)
        command = [str(self.binary.path), "redis.conf", *self._arguments]
        self._process = launch(command, self.folder, self.folder / "log")
        wait_until(self._is_ready, f"{self.binary.name} answers", lambda: self.log[began:])

    def restart(self) -> None:
        """Stop it if it is running, and start it on the same port and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it with SIGSTOP: connections stay open and nothing is answered."""
        if self._process is not None and self.is_running:
            self._process.pause()
            self._paused = True

    def resume(self) -> None:
        """Let a paused server go on."""
        if self._process is not None and self.is_running:
            self._process.resume()
            self._paused = False

    @property
    def _socket(self) -> Path:
        return self.folder / "socket"

    def _end(self, number: int) -> None:
        if self._process is not None and self.is_running:
            # A primary waits 10 s for its replicas before it goes: shutdown-timeout.
            self._process.end(number, timeout=20.0)
            self._paused = False

    def _start_first(self) -> None:
        """Start it on a free port, on another one if somebody took that in the meantime."""
        given = self.port
        (self.folder / "log").touch()
        for tries in reversed(range(_TRIES)):
            self.port = given or free_port()
            (self.folder / "redis.conf").write_text("\n".join(self._lines()) + "\n")
            try:
                self.start()
            except RuntimeError as error:
                if given or not tries or "Address already in use" not in str(error):
                    raise
            else:
                return

    def _lines(self) -> list[str]:
        lines = [f"bind {HOST}", f'dir "{self.folder}"', f'unixsocket "{self._socket}"', 'save ""']
        if self.password:
            lines += [f"requirepass {quoted(self.password)}", f"masterauth {quoted(self.password)}"]
        if self._tls is None:
            lines.append(f"port {self.port}")
        else:
            lines += ["port 0", f"tls-port {self.port}", "tls-auth-clients no"]
            lines.append(f'tls-cert-file "{self._tls.certificate}"')
            lines.append(f'tls-key-file "{self._tls.key}"')
            lines.append(f'tls-ca-cert-file "{self._tls.authority}"')
        return [*lines, *self._config]

    def _is_ready(self) -> bool:
        if not self.is_running:
            raise RuntimeError(f"{self.binary.name} did not start:\n{self.log[-2000:]}")
        try:
            # By its own Unix socket: on the port somebody else might answer.
            with Connection(self._socket, timeout=1.0) as connection:
                connection.command("PING")
        except OSError:
            return False
        except Refused as error:
            return not str(error).startswith("LOADING")  # it may ask for a password
        return True


def credentials(password: str) -> str:
    """Write the default user's password as URLs have it; "" without one."""
    return f":{quote(password, safe='')}@" if password else ""


def quoted(text: str) -> str:
    """Write a word as redis.conf wants it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
