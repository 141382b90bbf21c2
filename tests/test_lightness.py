"""Importing askonce and making a cache cost nothing but their own modules: no SDK, no disk, no net."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "askonce"
MODULES = sorted(
    ".".join(("askonce", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    )
    for path in PACKAGE.rglob("*.py")
)

SDKS = {"anthropic", "google", "groq", "litellm", "mistralai", "ollama", "openai"}
HEAVY = {
    "aiohttp", "cryptography", "httpcore", "httpcore2", "httpx", "httpx2", "numpy", "pydantic",
    "redis", "requests", "urllib3", "valkey",
    # of the standard library: each is there for one kind of store, caller or command
    "argparse", "asyncio", "concurrent", "email", "http", "importlib.metadata",
    "importlib.resources", "multiprocessing", "platformdirs", "socket", "sqlite3", "ssl",
    "subprocess", "tempfile", "tomllib", "urllib.request", "zipfile",
}  # fmt: skip

OURS = {"askonce", "blake3", "msgspec", "orjson", "typing_extensions"}
"""All that is not Python's own: three of the five dependencies, and what msgspec brings."""

HARMLESS = ("os.listdir", "os.scandir", "os.getxattr", "os.listxattr")
"""Events of these groups that only look."""

WATCH = """
import _thread, json, os, sys, threading
modules, seen = set(sys.modules), []
start = _thread.start_new_thread

def started(*given, **named):
    seen.append("a thread")
    return start(*given, **named)

# Before Python 3.12 a thread that starts is no event.
_thread.start_new_thread = threading._start_new_thread = started

def watch(event, arguments):
    group = event.partition(".")[0]
    if event == "open":
        path, _, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC)
        # A module is read by its loader, or mapped by the dynamic linker.
        if writes or not str(path).endswith((".py", ".pyc", ".so", ".pyd", ".toml")):
            seen.append(f"open {path} {flags}")
    elif group in ("os", "shutil", "socket", "sqlite3", "subprocess", "tempfile", "ssl"):
        if event not in HARMLESS:
            seen.append(event)

sys.dont_write_bytecode = True
sys.addaudithook(watch)
HERE
threads = [thread.name for thread in threading.enumerate()]
print(json.dumps([sorted(set(sys.modules) - modules), seen, threads]))
""".replace("HARMLESS", repr(HARMLESS))


@pytest.fixture
def fresh(tmp_path):
    """Run statements in a fresh interpreter: modules they brought, acts, threads at the end."""

    def statements(text, program=WATCH):
        homes = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "TMPDIR"), str(tmp_path))
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program.replace("HERE", text)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**{k: v for k, v in os.environ.items() if k != "ASKONCE_URL"}, **homes},
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert list(tmp_path.iterdir()) == []
        return json.loads(done.stdout)

    return statements


def test_the_watch_sees_what_it_is_for(fresh):
    """A watch that sees nothing would find everything light."""
    modules, acts, threads = fresh(
        "import socket, sqlite3, tempfile\n"
        "with tempfile.TemporaryFile() as file: pass\n"
        "socket.socket().close()\n"
        "sqlite3.connect(':memory:').close()\n"
        "os.mkdir('a'); os.rmdir('a')\n"
        "with open(os.devnull, 'w'): pass\n"
        "with open(os.devnull): pass\n"
        "short = threading.Thread(target=lambda: None); short.start(); short.join()\n"
    )
    assert {"socket", "sqlite3", "tempfile"} <= set(modules)
    for act in ("socket.__new__", "sqlite3.connect", "os.mkdir", "os.rmdir", "a thread"):
        assert any(seen.startswith(act) for seen in acts), act
    assert sum(seen.startswith("open /dev/null") for seen in acts) == 2
    assert any(seen.startswith("open ") and "/dev/null" not in seen for seen in acts)
    assert threads == ["MainThread"]


def test_importing_askonce_brings_three_dependencies_and_nothing_heavy(fresh):
    modules, _, _ = fresh("import askonce")
    assert not (SDKS | HEAVY) & set(modules)
    roots = {name.partition(".")[0] for name in modules}
    assert roots - sys.stdlib_module_names <= OURS


def test_importing_askonce_touches_no_disk_opens_no_socket_and_starts_no_thread(fresh):
    assert fresh("import askonce")[1:] == [[], ["MainThread"]]


@pytest.mark.parametrize(
    "made",
    [
        "Cache()",
        "Cache('memory://')",
        "Cache('sqlite:///answers.db')",
        "Cache('sqlite:////nowhere/at/all/answers.db', ttl='1h', tenant='t', strict=True)",
        "Cache().using(ttl='1h', tags=['doc:1'], refresh=True)",
        "Cache().recording()",
        "Cache()(lambda text: text)",
    ],
)
def test_making_a_cache_touches_no_disk_opens_no_socket_and_starts_no_thread(fresh, made):
    modules, acts, threads = fresh(f"from askonce import Cache\nmade = {made}")
    assert (acts, threads) == ([], ["MainThread"])
    assert not SDKS & set(modules)
    assert not {"httpx", "httpx2", "numpy", "pydantic", "redis", "asyncio"} & set(modules)


def test_a_cache_in_memory_brings_no_database(fresh):
    program = "from askonce import Cache\ncache = Cache('memory://')\n"
    modules, acts, threads = fresh(f"{program}cache.put('a', model='m'); cache.get(model='m')")
    assert not {"sqlite3", "cramjam", "platformdirs", "asyncio"} & set(modules)
    assert (acts, threads) == ([], ["MainThread"])


def test_wrapping_a_client_touches_no_disk_opens_no_socket_and_starts_no_thread(fresh):
    """The SDK itself may do what it likes when it is imported and when its client is made."""
    _, acts, threads = fresh(
        "from openai import OpenAI\n"
        "from askonce import Cache\n"
        "client = OpenAI(api_key='k', base_url='http://127.0.0.1:9')\n"
        "seen.clear()\n"
        "Cache().wrap(client)"
    )
    assert (acts, threads) == ([], ["MainThread"])


def test_the_command_line_brings_no_sdk(fresh):
    modules, acts, threads = fresh("import askonce.cli")
    assert not SDKS & set(modules)
    assert not {"httpx", "httpx2", "numpy", "pydantic", "redis"} & set(modules)
    assert (acts, threads) == ([], ["MainThread"])


ALONE = """
import importlib, json, sys

broken = {}
for name in MODULES:
    for known in [known for known in sys.modules if known.partition(".")[0] == "askonce"]:
        del sys.modules[known]
    try:
        importlib.import_module(name)
    except BaseException as error:
        broken[name] = repr(error)
print(json.dumps([broken, sorted(sys.modules)]))
"""


OF_TESTS = [
    name
    for name in MODULES
    if name.startswith("askonce.testing.store_") or name.endswith("_contract")
]
"""They bring pytest."""


def test_every_module_can_be_imported_first_and_none_brings_an_sdk(fresh):
    needing_nothing = [name for name in MODULES if name not in OF_TESTS]
    assert len(needing_nothing) > 80
    program = ALONE.replace("MODULES", repr(needing_nothing))
    broken, modules = fresh("", program)
    assert broken == {}
    assert not (SDKS | {"httpx", "httpx2", "pydantic", "pytest"}) & set(modules)


def test_the_contracts_can_be_imported_first(fresh):
    assert len(OF_TESTS) > 3
    assert fresh("", ALONE.replace("MODULES", repr(OF_TESTS)))[0] == {}
