"""`askonce doctor`: what could keep the cache from working, and how to mend it."""

from __future__ import annotations

import base64
import json
import sqlite3
import sys
from importlib import metadata

import pytest

from askonce import Cache
from askonce.cli import main
from askonce.commands import checks
from askonce.stores import places, schema


@pytest.fixture
def doctor(capsys, monkeypatch, tmp_path):
    """Run `askonce doctor --json`: exit code, worst state, and each check by its name."""
    monkeypatch.delenv("ASKONCE_URL", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))

    def command(*words):
        code = main(["doctor", "--json", *words])
        out, err = capsys.readouterr()
        assert err == ""
        found = json.loads(out)
        return code, found["state"], {check["name"]: check for check in found["checks"]}

    return command


@pytest.fixture
def path(tmp_path):
    tmp_path.chmod(0o700)
    return tmp_path / "answers.db"


@pytest.fixture
def store(path, url):
    """A store with one entry in it."""
    with Cache(url, strict=True) as cache:
        cache.put("kept", model="m")
    return path


def pragma(path, text):
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA {text}")
    database.close()


def states(found):
    return {name: check["state"] for name, check in found.items()}


def test_a_sound_store_is_ok_and_is_left_as_it_was(doctor, store, url):
    code, state, found = doctor("--url", url)
    assert (code, state) == (0, "ok")
    assert list(found)[:9] == [
        "versions",
        "store",
        "file system",
        "free space",
        "folder",
        "file",
        "integrity",
        "use",
        "sealing",
    ]
    assert set(states(found).values()) == {"ok"}
    assert found["store"]["says"] == f"{store} (from --url)"
    told = f"whole, 1 row, version {schema.VERSION}, journal in WAL"
    assert told in found["integrity"]["says"]
    with Cache(url, strict=True) as cache:
        assert [entry.body for _, entry in cache.entries()] == [b'{"value":"kept"}']
        assert cache.get(model="m") == "kept"


def test_whether_entries_are_sealed_is_said_and_no_secret_is_shown(doctor, url, monkeypatch):
    monkeypatch.delenv("ASKONCE_SECRETS", raising=False)
    assert doctor("--url", url)[2]["sealing"]["says"].startswith("ASKONCE_SECRETS is not set")
    secrets = [base64.b64encode(bytes((number,)) * 32).decode() for number in (1, 2)]
    monkeypatch.setenv("ASKONCE_SECRETS", ",".join(secrets))
    code, state, found = doctor("--url", url)
    assert (code, state) == (0, "ok")
    assert found["sealing"]["says"] == "entries are sealed (2 secrets)"
    assert not any(secret in json.dumps(found) for secret in secrets)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "secret 1 has 0 bytes, and a secret has 32"),
        ("c2hvcnQ", "secret 1 has 5 bytes, and a secret has 32"),
        ("no base64!", "secret 1 is not base64"),
    ],
)
def test_a_secret_that_is_none_is_broken_and_not_shown(text, says, doctor, url, monkeypatch):
    monkeypatch.setenv("ASKONCE_SECRETS", text)
    code, state, found = doctor("--url", url)
    assert (code, state) == (3, "broken")
    assert found["sealing"]["says"] == f"ASKONCE_SECRETS: {says}"
    assert found["sealing"]["fix"].startswith("make one with python -c")
    assert not text or text not in json.dumps(found)


def test_the_store_may_be_named_in_three_ways(doctor, store, url, monkeypatch):
    assert doctor(url)[2]["store"]["says"] == f"{store} (from --url)"
    monkeypatch.setenv("ASKONCE_URL", url)
    assert doctor()[2]["store"]["says"] == f"{store} (from ASKONCE_URL)"
    monkeypatch.delenv("ASKONCE_URL")
    assert doctor()[2]["store"]["says"].endswith("answers.db (from default)")


def test_where_no_store_is_yet_nothing_is_wrong_and_nothing_is_made(doctor, path, tmp_path):
    for url in (f"sqlite:///{tmp_path}/a/b/answers.db", f"sqlite:///{path}"):
        code, state, found = doctor(url)
        assert (code, state) == (0, "ok")
        assert "the first cached call makes it" in found["file"]["says"]
        assert "use" not in found
    assert "will be made at the first call" in doctor()[2]["folder"]["says"]
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_well_and_stays_empty(doctor, path, url):
    path.touch(0o600)
    code, state, found = doctor(url)
    assert (code, state) == (0, "ok")
    assert found["integrity"]["says"] == "empty: the first cached call makes its tables"
    assert path.stat().st_size == 0


def test_every_installed_sdk_is_tried_or_named(doctor, url):
    found = doctor(url)[2]
    for name in ("openai", "anthropic"):
        assert found[name]["state"] == "ok"
        assert found[name]["says"].startswith(f"{metadata.version(name)}: cache.wrap(")
        assert found[name]["says"].endswith("by the fast path and the transport")
    assert "cache.transport(inner)" in found["google-genai"]["says"]


def test_without_any_sdk_the_fix_says_what_to_install(doctor, url, monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    code, state, found = doctor(url)
    assert (code, state) == (0, "warn")
    assert found["SDKs"]["fix"] == "pip install openai anthropic"


def test_an_sdk_that_is_broken_is_a_warning(doctor, url, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    code, state, found = doctor(url)
    assert (code, state) == (0, "warn")
    assert "wrap does not know it" in found["openai"]["says"]
    assert found["anthropic"]["state"] == "ok"


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o602])
def test_a_file_that_others_may_read_is_a_warning(doctor, store, url, mode):
    store.chmod(mode)
    code, state, found = doctor(url)
    assert (code, state) == (0, "warn")
    assert found["file"]["state"] == "warn"
    assert found["file"]["fix"] == f"chmod 600 {store}"


def test_a_folder_that_others_may_write_into_is_a_warning(doctor, store, url):
    store.parent.chmod(0o777)
    assert doctor(url)[2]["folder"]["fix"] == f"chmod go-w {store.parent}"
    store.parent.chmod(0o1777)  # sticky: nobody can take away what is another's
    assert doctor(url)[2]["folder"]["state"] == "ok"


def test_the_cache_folder_of_a_user_is_nobody_elses(doctor, tmp_path):
    with Cache(strict=True) as cache:
        cache.put("kept", model="m")
    folder = tmp_path / "caches" / "askonce"
    assert doctor()[2]["folder"] == {
        "name": "folder",
        "state": "ok",
        "says": f"{folder} (0700)",
        "fix": "",
    }
    folder.chmod(0o755)
    assert doctor()[2]["folder"]["fix"] == f"chmod 700 {folder}"


def test_a_file_in_place_of_a_folder_is_broken(doctor, path):
    path.touch()
    code, state, found = doctor(f"sqlite:///{path}/answers.db")
    assert (code, state) == (3, "broken")
    assert found["folder"]["says"] == f"{path} is a file"
    assert "file" not in found


def test_a_network_file_system_is_broken(doctor, url, monkeypatch):
    monkeypatch.setattr(places, "file_system", lambda path: "nfs4")
    code, state, found = doctor(url)
    assert (code, state) == (3, "broken")
    assert found["file system"]["fix"].startswith("name a local file: ASKONCE_URL=sqlite:////")


def test_a_disk_that_is_almost_full_is_a_warning(doctor, url, monkeypatch):
    monkeypatch.setattr(checks, "SCARCE", 2**80)
    code, state, found = doctor(url)
    assert (code, state) == (0, "warn")
    assert found["free space"]["fix"] == "make room there"


def test_a_damaged_store_is_broken_and_stays_where_it_is(doctor, store, url):
    size = store.stat().st_size
    with store.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    before = store.read_bytes()
    code, state, found = doctor(url)
    assert (code, state) == (3, "broken")
    assert found["integrity"]["says"].startswith("the file is damaged: ")
    assert "the next call sets it aside and begins a new one" in found["integrity"]["fix"]
    assert store.read_bytes() == before
    with Cache(url) as cache:
        cache.put("again", model="m")
    code, state, found = doctor(url)
    assert (code, state) == (0, "warn")
    assert found["set aside"]["says"].startswith("1 file of damaged databases, ")
    assert found["set aside"]["fix"] == f"rm {store}.damaged-*"


@pytest.mark.parametrize("kind", ["text", "database"])
def test_a_file_of_another_program_is_broken_and_never_called_damaged(doctor, path, url, kind):
    if kind == "text":
        path.write_text("Dear Ada, this is no database at all.\n")
    else:
        pragma(path, "application_id = 7")
    path.chmod(0o600)
    before = path.read_bytes()
    code, state, found = doctor(url)
    assert (code, state) == (3, "broken")
    assert found["integrity"]["says"] == f"{path} belongs to another program"
    assert found["integrity"]["fix"] == "name another file with --url"
    assert path.read_bytes() == before


def test_a_store_from_the_future_is_broken(doctor, store, url):
    pragma(store, "user_version = 99")
    code, state, found = doctor(url)
    assert (code, state) == (3, "broken")
    told = f"the file has version 99, and this askonce reads {schema.VERSION}"
    assert found["integrity"]["says"] == told
    assert found["integrity"]["fix"] == "pip install --upgrade askonce"


def test_a_store_without_its_log_is_a_warning(doctor, store, url):
    pragma(store, "journal_mode = DELETE")
    code, state, found = doctor(url)
    assert (code, state) == (0, "warn")
    assert "its journal is 'delete'" in found["integrity"]["says"]
    assert found["integrity"]["fix"] == f'sqlite3 {store} "PRAGMA journal_mode = WAL"'


def test_a_store_that_another_holds_for_itself_is_a_warning(doctor, store, url, monkeypatch):
    monkeypatch.setattr("askonce.commands.checks.sqlite3.connect", _impatient(sqlite3.connect))
    monkeypatch.setattr("askonce.commands.opening.BUSY", 0.01)
    other = sqlite3.connect(store, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    code, state, found = doctor(url)
    other.close()
    assert (code, state) == (3, "broken")
    assert found["integrity"]["state"] == "warn"
    assert "database is locked" in found["use"]["says"]
    assert found["use"]["fix"]


def _impatient(connect):
    return lambda *given, **named: connect(*given, **{**named, "timeout": 0.01})


def test_as_text_each_check_is_a_line_with_its_fix_below(capsys, store, url):
    store.chmod(0o644)
    assert main(["doctor", url]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("warn    file          others may read it (0644)")
    assert lines[at + 1] == f"{'':22}fix: chmod 600 {store}"
    assert lines[0].startswith("ok      versions      askonce ")
