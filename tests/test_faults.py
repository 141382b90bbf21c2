"""Everything that can happen to the cache's file, under a wrapped client: calls go on.

`test_store_faults.py` shows what a store makes of a fault. Here a program makes its calls, the
fault comes and goes, and the program must not notice: no exception, no wrong answer, at most one
warning, and when the fault is gone answers are kept as before.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import logging.handlers
import os
import pwd
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from openai import AsyncOpenAI, OpenAI

from askonce import Cache
from askonce.blocking import run
from askonce.stores import schema
from askonce.stores.memory import Memory
from askonce.stores.sqlite import SQLite
from askonce.stores.tiered import Tiered


class Clock:
    """A time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1764000000.0

    def __call__(self) -> float:
        return self.now


class Program:
    """Asks questions through a wrapped client, and looks at every answer."""

    def __init__(self, url, path, *, is_async) -> None:
        self.clock = Clock()
        self._ended = False
        # As `Cache(url)` composes it, with a clock of our own.
        self.cache = Cache(Tiered(Memory(), SQLite(path, clock=self.clock), self.clock))
        self._runner = asyncio.Runner() if is_async else None
        kind = AsyncOpenAI if is_async else OpenAI
        self._client = self.cache.wrap(kind(base_url=f"{url}/v1", api_key="k", max_retries=0))

    def ask(self, question, *, stream=False, bypass=False) -> str:
        """Ask, and return how the call ended: hit or miss."""
        work = self._blocking if self._runner is None else self._async
        with self.cache.recording() as outcomes, self.cache.using(bypass=bypass):
            said = work(question, stream=stream)
        assert said == f"Answer to: {question}"
        return outcomes[0].kind

    def _blocking(self, question, *, stream):
        answer = self._client.chat.completions.create(**asked(question), stream=stream)
        return "".join(map(piece, answer)) if stream else text(answer)

    def _async(self, question, *, stream):
        async def work():
            answer = await self._client.chat.completions.create(**asked(question), stream=stream)
            if not stream:
                return text(answer)
            return "".join([piece(chunk) async for chunk in answer])

        # A runner keeps the context of its first call; ours is inside of `using` blocks.
        return self._runner.run(work(), context=contextvars.copy_context())

    def ask_all(self, name) -> None:
        """Make calls of every kind."""
        for number in range(3):
            self.ask(f"{name} {number}")
            self.ask(f"{name} {number}")
            self.ask(f"{name} {number}", stream=True)
        self.ask(f"{name}, streamed", stream=True)
        self.ask(f"{name}, streamed", stream=True)
        with self.cache.using(tags=["doc:1"]):
            self.ask(f"{name}, tagged")
            self.ask(f"{name}, tagged")

    def close(self) -> None:
        """End the program. Ending twice is allowed."""
        self.cache.close()
        if self._ended:
            return
        self._ended = True
        if self._runner is None:
            self._client.close()
        else:
            self._runner.run(self._client.close())
            self._runner.close()


def asked(question):
    messages = [{"role": "user", "content": question}]
    return {"model": "gpt-4o", "temperature": 0, "messages": messages}


def text(answer):
    return answer.choices[0].message.content


def piece(chunk):
    return (chunk.choices[0].delta.content or "") if chunk.choices else ""


# Faults. Each comes to the file at `path` when its block begins, and goes when it ends.


@contextmanager
def disk_is_full(path):
    """Nothing can be written to any file, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def files_are_used_up(path):
    """No more files can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def file_is_deleted(path):
    for file in path.parent.glob("answers.db*"):
        file.unlink()
    yield


@contextmanager
def folder_is_deleted(path):
    shutil.rmtree(path.parent)
    yield


@contextmanager
def folder_is_in_the_way(path):
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.write_text("a file")
    yield
    path.parent.unlink()


@contextmanager
def folder_is_read_only(path):
    """Rights do not bind root: then everything is done as nobody meanwhile."""
    path.parent.mkdir(exist_ok=True)
    path.parent.chmod(0o500)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        path.parent.chmod(0o700)


@contextmanager
def lock_file_is_a_folder(path):
    path.parent.mkdir(exist_ok=True)
    lock = path.with_name("answers.db-leases")
    with contextlib.suppress(FileNotFoundError):
        lock.unlink()
    lock.mkdir()
    yield
    lock.rmdir()


HOLD = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute(f"PRAGMA locking_mode = {sys.argv[2]}")
database.execute("BEGIN EXCLUSIVE")
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(path, mode):
    command = [sys.executable, "-c", HOLD, str(path), mode]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"ready\n"
        yield
        holder.stdin.close()


def writes_are_locked(path):
    return held(path, "NORMAL")


def everything_is_locked(path):
    store = SQLite(path)
    run(store.get((bytes(20),)))
    run(store.close())
    return held(path, "EXCLUSIVE")


DAMAGE = """
import os, random, sqlite3, sys
name, way = sys.argv[1:]
if way != "flip the log":
    database = sqlite3.connect(name)
    assert database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    database.close()
if way == "cut":
    os.truncate(name, os.path.getsize(name) // 2)
elif way == "reword":
    with open(name, "r+b") as file:
        data = file.read()
        assert data.count(b"Answer to: before") > 2
        file.seek(0)
        file.write(data.replace(b"Answer to: before", b"Answer to: behind"))
else:
    chance = random.Random(1)
    with open(name if way == "flip" else name + "-wal", "r+b") as file:
        data = bytearray(file.read())
        for _ in range(len(data) // 200):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        file.seek(0)
        file.write(data)
"""


def damaged(path, way):
    # By another process: to close the file in this one would free the locks that SQLite has on it.
    subprocess.run([sys.executable, "-c", DAMAGE, str(path), way], check=True)
    return contextlib.nullcontext()


def file_is_cut_short(path):
    return damaged(path, "cut")


def bits_are_flipped(path):
    """One in every 200 bytes of the file."""
    return damaged(path, "flip")


def answers_are_reworded(path):
    """The file is sound for SQLite, and says something else."""
    return damaged(path, "reword")


def bits_of_the_log_are_flipped(path):
    return damaged(path, "flip the log")


@contextmanager
def file_is_from_the_future(path):
    path.parent.mkdir()
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA application_id = {schema.APPLICATION}")
    database.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    database.execute("CREATE TABLE things_to_come (it)")
    database.close()
    before = path.read_bytes()
    yield
    assert path.read_bytes() == before
    path.unlink()


# What comes and goes while the cache is in use, and it finds its way back by itself.
PASSING = [
    disk_is_full,
    file_is_deleted,
    folder_is_deleted,
    folder_is_in_the_way,
    folder_is_read_only,
    writes_are_locked,
    file_is_cut_short,
    bits_are_flipped,
    bits_of_the_log_are_flipped,
    answers_are_reworded,
]
# What is there at the first call.
FROM_THE_START = [disk_is_full, everything_is_locked]
# What makes a place unfit: memory serves alone until the next cache.
UNFIT = [
    folder_is_in_the_way,
    folder_is_read_only,
    lock_file_is_a_folder,
    file_is_from_the_future,
]

colours = pytest.mark.parametrize("is_async", [False, True], ids=["blocking", "async"])


@pytest.fixture
def path():
    # Not in tmp_path: nobody but its owner could go there, and here we act as somebody else.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "cache" / "answers.db"


@pytest.fixture
def begin(upstream, path):
    """Begin a program on the file; it ends with the test."""
    with contextlib.ExitStack() as programs:

        def begun(*, is_async):
            program = Program(upstream.url, path, is_async=is_async)
            programs.callback(program.close)
            # Its connection to the upstream, and all imports, are there before a fault.
            program.ask("warm-up", bypass=True)
            program.ask("warm-up", bypass=True, stream=True)
            return program

        yield begun


def warnings(caplog):
    return [it.getMessage() for it in caplog.records if it.levelno >= logging.WARNING]


@colours
@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_comes_and_goes_is_noticed_by_nobody(fault, is_async, begin, path, caplog):
    program = begin(is_async=is_async)
    program.ask_all("before")
    with fault(path):
        for _ in range(2):
            program.clock.now += 2
            program.ask_all("before")
            program.ask_all("meanwhile")
        assert len(warnings(caplog)) <= 1, warnings(caplog)
        caplog.clear()
        newcomer = begin(is_async=is_async)
        newcomer.ask_all("before")
        newcomer.ask_all("meanwhile")
        newcomer.close()
        assert len(warnings(caplog)) <= 1, warnings(caplog)
        caplog.clear()
    program.clock.now += 2
    program.ask_all("before")
    program.ask_all("afterwards")
    assert warnings(caplog) == []
    program.close()
    assert_kept(begin(is_async=is_async))


def assert_kept(other):
    """What was asked after the fault is there for the next program."""
    assert other.ask("afterwards 0") == "hit"
    assert other.ask("afterwards, streamed", stream=True) == "hit"
    with other.cache.using(tags=["doc:1"]):
        assert other.ask("afterwards, tagged") == "hit"


@colours
@pytest.mark.parametrize("fault", FROM_THE_START)
def test_a_fault_at_the_first_call_is_noticed_by_nobody(fault, is_async, begin, path, caplog):
    program = begin(is_async=is_async)
    with fault(path):
        program.ask_all("meanwhile")
        program.clock.now += 2
        program.ask_all("meanwhile")
    program.clock.now += 2
    program.ask_all("afterwards")
    assert len(warnings(caplog)) <= 1, warnings(caplog)
    program.close()
    assert_kept(begin(is_async=is_async))


@colours
@pytest.mark.parametrize("fault", UNFIT)
def test_where_a_file_can_never_be_memory_serves_alone(fault, is_async, begin, path, caplog):
    program = begin(is_async=is_async)
    with fault(path):
        program.ask_all("meanwhile")
        program.clock.now += 2
        assert program.ask("meanwhile 0") == "hit"
        assert program.ask("meanwhile, streamed", stream=True) == "hit"
        with program.cache.using(tags=["doc:1"]):
            assert program.ask("meanwhile, tagged") == "hit"
    assert len(warnings(caplog)) == 1
    assert "memory only" in warnings(caplog)[0]
    program.close()
    program = begin(is_async=is_async)
    program.ask_all("afterwards")
    program.close()
    assert_kept(begin(is_async=is_async))


@colours
def test_without_files_to_open_at_the_first_call_it_is_noticed_by_nobody(
    is_async, begin, path, caplog
):
    program = begin(is_async=is_async)
    # No streams: for each of them the blocking SDK opens a connection.
    program.ask("warm-up", bypass=True)
    with files_are_used_up(path):
        assert [program.ask("meanwhile") for _ in range(2)] == ["miss", "hit"]
    assert len(warnings(caplog)) == 1
    program.clock.now += 2
    program.ask_all("afterwards")
    program.close()
    assert_kept(begin(is_async=is_async))


# Real disks without room: a file system in memory, mounted where nobody else sees it


def on_a_small_disk(url, folder):
    """Fill the disk under a program, in a process of its own."""
    heard = logging.handlers.BufferingHandler(1000)
    logging.getLogger("askonce").addHandler(heard)
    path = Path(folder) / "cache" / "answers.db"
    program = Program(url, path, is_async=False)
    for number in range(60):
        program.ask(f"{number} {'long ' * 2000}")
        program.clock.now += 0.5
    assert [it.levelname for it in heard.buffer] == ["WARNING"], heard.buffer
    assert re.search("full|cannot be written", heard.buffer[0].getMessage())
    subprocess.run(["mount", "-o", "remount,size=50m,nr_inodes=1000", folder], check=True)
    program.clock.now += 2
    program.ask_all("afterwards")
    program.close()
    other = Program(url, path, is_async=False)
    assert_kept(other)
    other.close()


MOUNT = """
import runpy, subprocess, sys
module, url, folder, options = sys.argv[1:]
mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
if subprocess.run(mount, check=False).returncode:
    sys.exit(77)
runpy.run_path(module)["on_a_small_disk"](url, folder)
"""


@pytest.mark.parametrize("options", ["size=400k", "size=60k", "nr_inodes=1", "nr_inodes=3"])
def test_a_disk_without_room_is_noticed_by_nobody(options, upstream, tmp_path):
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("this system has no unshare")
    command = [unshare, "--user", "--map-root-user", "--mount", sys.executable, "-c", MOUNT]
    command += [__file__, upstream.url, str(tmp_path), options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode in (1, 77) and "Traceback" not in done.stderr:
        pytest.skip("this system lets nobody mount")
    assert done.returncode == 0, done.stderr


# The user's folder


@pytest.mark.parametrize("home", [None, "/proc/none", "/dev/null", "read-only"])
def test_without_a_home_to_write_to_memory_serves_after_one_warning(
    home, path, upstream, user, caplog
):
    user(path.parent if home == "read-only" else home)
    fault = folder_is_read_only if home == "read-only" else contextlib.nullcontext
    with fault(path), OpenAI(base_url=f"{upstream.url}/v1", api_key="k") as made, Cache() as cache:
        client = cache.wrap(made)
        for turn in range(3):
            for question in ("one", "two"):
                answer = client.chat.completions.create(**asked(question))
                assert text(answer) == f"Answer to: {question}"
                assert cache.last.kind == ("hit" if turn else "miss")
    assert len(warnings(caplog)) == 1
    assert list(Path.cwd().glob("~*")) == []


@pytest.fixture
def user(monkeypatch, tmp_path):
    """Say where the user's home is; None for a user who has none."""

    def lives_in(home):
        for name in ("HOME", "XDG_CACHE_HOME", "ASKONCE_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.chdir(tmp_path)
        if home is not None:
            monkeypatch.setenv("HOME", str(home))
        else:
            monkeypatch.setattr(pwd, "getpwuid", lambda _: {}["no such user"])

    return lives_in
