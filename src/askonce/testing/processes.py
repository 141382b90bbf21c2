"""Programs that tests start, and that end with them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_GUARD = 'read -r _; kill -9 "$1"'
"""Its standard input ends when the process that started it is gone, killed with -9 or not."""


class Process:
    """A running program. It is killed when the process that started it ends, however that comes.

    A parent-death signal would not do: on Linux it is sent when the starting *thread* ends.
    """

    def __init__(self, child: subprocess.Popen[bytes], guard: subprocess.Popen[bytes]) -> None:
        self._child = child
        self._guard = guard
        self.pid = child.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended; a paused one runs."""
        if self._child.poll() is None:
            return True
        self._dismiss()
        return False

    def pause(self) -> None:
        """Send SIGSTOP; it stands still when this returns."""
        self._child.send_signal(signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def resume(self) -> None:
        """Send SIGCONT."""
        self._child.send_signal(signal.SIGCONT)

    def end(self, number: int, timeout: float) -> None:
        """Send a signal that ends it, and wait; subprocess.TimeoutExpired after so many seconds."""
        self._child.send_signal(number)
        self._child.wait(timeout)
        self._dismiss()

    def _dismiss(self) -> None:
        self._guard.kill()
        self._guard.wait()
        if self._guard.stdin is not None:
            self._guard.stdin.close()


def launch(command: Sequence[str], folder: Path, log: Path) -> Process:
    """Start a program in a folder, its output at the end of a log."""
    # Sessions of their own, so that Ctrl-C reaches the tests and not what they still use.
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603 (a program of an installed package)
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        guard = subprocess.Popen(  # noqa: S603 (fixed text and a number)
            ["/bin/sh", "-c", _GUARD, "sh", str(child.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except BaseException:
        child.kill()
        child.wait()
        raise
    return Process(child, guard)


def wait_until(
    holds: Callable[[], bool],
    what: str,
    evidence: Callable[[], str] = str,
    timeout: float = 30.0,
) -> None:
    """Wait until something holds; TimeoutError with the evidence after so many seconds."""
    deadline = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:g} s: {what}\n{evidence()}")
        time.sleep(0.01)
