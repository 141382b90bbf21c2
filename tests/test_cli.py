"""The command line: looking at a store, dropping entries, and what every command has in common."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest
from anthropic import Anthropic
from openai import OpenAI

from askonce import Cache, Entry, __version__
from askonce.blocking import run
from askonce.cli import main
from askonce.commands import terminal
from askonce.stores import lockfile
from askonce.stores.sqlite import SQLite
from askonce.testing.fake_script import Reply, ToolCall

COMMANDS = (
    "demo", "stats", "ls", "show", "why", "config", "forget", "export", "import", "doctor",
)  # fmt: skip

READING = {
    "stats": ("stats",),
    "ls": ("ls",),
    "show": ("show", "ab"),
    "forget": ("forget", "--all"),
    "export": ("export", "out.jsonl"),
}
"""Every command that works on a store which is there, with the arguments it needs."""

HOSTILE = "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J \u202eRTL\u2066 \x00\x7f\r\n\tnew 漢字 🎉"
"""Colours, a window's title, a bell, C1 codes, reversed writing, line ends, wide letters."""

DAY = 86400.0

# A runner may have its children ignore interrupts; this one takes them as a terminal's does.
SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from askonce.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def askonce(capsys, monkeypatch, tmp_path):
    """Run a command in this process: exit code, stdout, stderr."""
    monkeypatch.delenv("ASKONCE_URL", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)

    def command(*words):
        try:
            code = main(words)
        except SystemExit as leaving:
            code = leaving.code
        return code, *capsys.readouterr()

    return command


@pytest.fixture(autouse=True)
def buffered(monkeypatch):
    """Let child processes write as most do: what is left in a buffer goes out at their end."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.db"


def user(text):
    return [{"role": "user", "content": text}]


@pytest.fixture
def filled(url, upstream):
    """A store with an answer of every kind, as real calls leave it."""
    with (
        Cache(url, strict=True) as cache,
        cache.wrap(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")) as openai,
        cache.wrap(Anthropic(base_url=upstream.url, api_key="k")) as anthropic,
    ):
        chat = openai.chat.completions.create
        chat(model="gpt-4o", temperature=0, messages=user("Why?"))
        with cache.using(tags=["doc:42"], ttl="1h"):
            chat(model="gpt-4o-mini", temperature=0, messages=user("What is a tag?"))
        list(chat(model="gpt-4o", temperature=0, messages=user("A stream"), stream=True))
        openai.responses.create(model="gpt-5-mini", input="Hello")
        openai.embeddings.create(model="text-embedding-3-small", input=["one", "two"])
        anthropic.messages.create(
            model="claude-haiku-4-5",
            max_tokens=100,
            messages=user("What is a cache?"),
            extra_body={"temperature": 0},
        )

        @cache
        def shout(text):
            return f"{text}!"

        shout("hello")
        cache.put({"said": "by hand"}, model="gpt-4o", messages=[])
    return url


def keep(path, *entries, keys=None):
    """Keep made-up entries; their keys are 00..., 01..., unless they are given."""

    async def work():
        store = SQLite(path)
        numbered = (f"{number:02x}".ljust(40, "0") for number in range(len(entries)))
        named = [bytes.fromhex(key) for key in keys or numbered]
        await store.put(dict(zip(named, entries, strict=True)))
        await store.close()

    run(work())


def chat_entry(text="Hello", **facts):
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps({"object": "chat.completion", "choices": [choice]}).encode()
    usual = {"created": time.time(), "dialect": "openai.chat", "model": "gpt-4o"}
    return Entry(body, **{**usual, **facts})


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def width(line):
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line)


def obeyed(text):
    """What in a text a terminal would obey, or would not show."""
    return {letter for letter in text if not letter.isprintable()} - {"\n", "\t"}


def damage(path):
    """Write noise over all pages but the first."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))


# What every command has in common


def test_the_help_names_every_command_and_the_exit_codes(askonce):
    code, out, _ = askonce("--help")
    assert code == 0
    assert all(f"    {name} " in out for name in COMMANDS)
    assert "exit codes: 0 fine, 1 nothing found" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(askonce, name):
    code, out, err = askonce(name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: askonce {name}")


def test_the_installed_command_tells_its_version(askonce):
    assert askonce("--version")[:2] == (0, f"askonce {__version__}\n")
    installed = Path(sys.executable).with_name("askonce")
    done = subprocess.run([installed, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"askonce {__version__}\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("dem",), "invalid choice: 'dem'"),
        (("show",), "the following arguments are required: KEY"),
        (("why", "one.json"), "the following arguments are required: B.json"),
        (("stats", "surplus"), "unrecognized arguments: surplus"),
        (("ls", "--limit", "-1"), "'-1' is not a number of entries"),
        (("ls", "--limit", "many"), "'many' is not a number of entries"),
        (("forget",), "say what to forget: KEY..., or --all, --expired or --model NAME"),
        (("forget", "ab", "--all"), "say what to forget"),
        (("forget", "--all", "--expired"), "--all is everything: leave it out"),
        (("forget", "--all", "--model", "gpt-4o"), "--all is everything: leave it out"),
        (("doctor", "sqlite:///a.db", "--url", "sqlite:///b.db"), "give either URL or --url"),
    ],
)
def test_wrong_usage_is_2_and_says_what_is_wrong(askonce, words, says, tmp_path):
    code, out, err = askonce(*words)
    assert (code, out) == (2, "")
    assert says in err
    assert names(tmp_path) == []


@pytest.mark.parametrize("words", READING.values(), ids=READING.keys())
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("answers.db", "'answers.db' is not the URL of a store. Use memory://"),
        ("sqllite:///answers.db", "did you mean 'sqlite'?"),
        ("ftp://localhost", "sqlite:///answers.db (beside the program)"),
        ("sqlite://answers.db", "sqlite:////var/cache/answers.db"),
        ("memory://", "no command can see it; use --url sqlite:///answers.db"),
    ],
)
def test_a_wrong_url_is_2_and_the_message_has_a_right_one(askonce, words, wrong, says, monkeypatch):
    code, out, err = askonce(*words, "--url", wrong)
    assert (code, out) == (2, "")
    assert says in err
    monkeypatch.setenv("ASKONCE_URL", wrong)
    code, out, of_variable = askonce(*words)
    assert (code, out) == (2, "")
    assert of_variable.replace("ASKONCE_URL: ", "") == err


@pytest.mark.parametrize("words", READING.values(), ids=READING.keys())
def test_a_store_that_cannot_be_reached_is_3_and_its_password_is_not_told(
    askonce, words, tmp_path, monkeypatch
):
    monkeypatch.setenv("ASKONCE_URL", "redis://user:secret@localhost:1/0")
    code, out, err = askonce(*words)
    assert (code, out) == (3, "")
    assert "redis://localhost:1/0: Error 111 connecting" in err
    assert "secret" not in err
    assert names(tmp_path) == []


@pytest.mark.parametrize("words", READING.values(), ids=READING.keys())
def test_a_store_that_is_not_there_is_1_and_nothing_is_made(askonce, words, tmp_path):
    for more in ((), ("--url", "sqlite:///a/b/answers.db"), ("--url", "sqlite:///answers.db")):
        code, out, err = askonce(*words, *more)
        assert (code, out) == (1, "")
        assert "yet: the first cached call makes it, and --url names another one" in err
        assert names(tmp_path) == []


@pytest.mark.parametrize("words", READING.values(), ids=READING.keys())
def test_an_empty_file_is_no_store_yet(askonce, words, url, path):
    path.touch()
    code, _, err = askonce(*words, "--url", url)
    assert code == 1
    assert "yet: the first cached call makes it" in err
    assert names(path.parent) == ["answers.db"]
    assert path.stat().st_size == 0


def another_programs_database(path):
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE people (name TEXT)")
    database.execute("INSERT INTO people VALUES ('Ada')")
    database.commit()
    database.close()


def a_text(path):
    path.write_text("Dear Ada, this is no database at all.\n")


def a_picture(path):
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40)


def from_the_future(path):
    keep(path, chat_entry())
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()


@pytest.mark.parametrize("words", READING.values(), ids=READING.keys())
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (another_programs_database, "is not a cache of askonce: choose another file"),
        (a_text, "is not a cache of askonce: choose another file"),
        (a_picture, "is not a cache of askonce: choose another file"),
        (from_the_future, "was written by a newer askonce: upgrade askonce"),
        (Path.mkdir, "Is a directory"),
    ],
)
def test_what_is_no_store_is_3_and_stays_untouched(askonce, url, path, *, words, make, says):
    make(path)
    before = path.read_bytes() if path.is_file() else None
    code, out, err = askonce(*words, "--url", url)
    assert (code, out) == (3, "")
    assert says in err
    assert (path.read_bytes() if path.is_file() else None) == before
    assert "out.jsonl" not in names(path.parent)


@pytest.mark.parametrize("words", READING.values(), ids=READING.keys())
def test_a_damaged_store_is_3_and_is_left_for_a_program_to_set_aside(askonce, words, url, path):
    keep(path, *(chat_entry("long " * 100) for _ in range(50)))
    damage(path)
    before = path.read_bytes()
    export = path.with_name("out.jsonl")
    export.write_text("the last good export")
    code, out, err = askonce(*words, "--url", url)
    assert (code, out) == (3, "")
    assert f"{path} is damaged" in err
    assert "begins a new one" in err
    assert path.read_bytes() == before
    assert export.read_text() == "the last good export"
    with Cache(url) as cache:
        cache.put("next", model="m")  # sets it aside
        assert cache.get(model="m") == "next"
    assert any(".damaged-" in name for name in names(path.parent))


def test_the_store_is_that_of_url_or_of_the_environment_or_of_the_cache_folder(
    askonce, monkeypatch, tmp_path
):
    for name in ("option", "environment", "caches/askonce/answers"):
        keep(tmp_path / f"{name}.db", chat_entry(model=name))
    assert "caches/askonce/answers" in askonce("ls")[1]
    monkeypatch.setenv("ASKONCE_URL", "sqlite:///environment.db")
    assert "environment" in askonce("ls")[1]
    assert "option" in askonce("ls", "--url", f"sqlite:///{tmp_path}/option.db")[1]


def test_a_program_that_has_the_store_open_is_not_in_the_way(askonce, url, upstream):
    with (
        Cache(url, strict=True) as cache,
        cache.wrap(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")) as client,
    ):
        for text in ("one", "two"):
            client.chat.completions.create(model="gpt-4o", temperature=0, messages=user(text))
            code, out, _ = askonce("ls", "--url", url)
            assert code == 0
            assert f"Answer to: {text}" in out


# stats


def test_stats_add_up_what_real_calls_left(askonce, filled, path):
    code, out, err = askonce("stats", "--url", filled, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["path"] == str(path)
    assert found["file_bytes"] >= found["bytes"] > 0
    assert found["entries"] == 9
    assert found["aliases"] >= 4  # the fast path of create
    assert (found["streamed"], found["tagged"], found["unpinned"], found["expired"]) == (1, 1, 1, 0)
    assert found["dialects"] == {
        "openai.chat": 3,
        "openai.embeddings": 2,
        "plain": 2,
        "openai.responses": 1,
        "anthropic.messages": 1,
    }
    assert found["models"]["gpt-4o"] == 2
    assert found["models"]["text-embedding-3-small"] == 2
    assert sum(found["models"].values()) == 9
    assert found["oldest"] <= found["newest"] <= time.time()
    assert found["tokens"] > 0


def test_stats_are_readable(askonce, filled, path):
    code, out, _ = askonce("stats", "--url", filled)
    assert code == 0
    assert f"store     {path} (" in out
    assert "entries   9 (1 streamed, 1 tagged, 1 unpinned)\n" in out
    assert "\nENTRIES  DIALECT\n      3  openai.chat\n" in out
    assert "      2  gpt-4o\n" in out


def test_stats_of_a_store_without_entries_are_zeros_and_1(askonce, url, path):
    keep(path, chat_entry())
    assert askonce("forget", "--all", "--url", url)[0] == 0
    code, out, _ = askonce("stats", "--url", url)
    assert code == 1
    assert "entries   0\n" in out
    code, out, _ = askonce("stats", "--url", url, "--json")
    assert code == 1
    assert json.loads(out)["oldest"] is None


# ls


def test_ls_shows_the_newest_first_and_no_aliases(askonce, filled):
    code, out, err = askonce("ls", "--url", filled, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert len(rows) == 9
    assert {row["kind"] for row in rows} <= {"answer", "value"}
    created = [row["created"] for row in rows]
    assert created == sorted(created, reverse=True)
    assert rows[-1]["answer"] == "Answer to: Why?"
    assert rows[-1]["usage"]["total"] > 0
    tagged = next(row for row in rows if row["tags"])
    assert tagged["tags"] == ["doc:42"]
    assert tagged["expires"] - tagged["created"] == 3600
    assert {row["answer"] for row in rows} >= {"hello!", '{"said":"by hand"}', "[vector]"}


def test_ls_is_a_table_that_fits_the_terminal(askonce, filled, path, monkeypatch):
    keep(path, chat_entry("漢字" * 200, model="m" * 200, dialect="d" * 200))
    for columns, heads in (
        ("80", ["KEY", "AGE", "EXPIRES", "MODEL", "ANSWER"]),
        ("120", ["KEY", "AGE", "EXPIRES", "SIZE", "MODEL", "DIALECT", "ANSWER"]),
    ):
        monkeypatch.setenv("COLUMNS", columns)
        code, out, _ = askonce("ls", "--url", filled)
        lines = out.splitlines()
        assert code == 0
        assert lines[0].split() == heads
        assert len(lines) == 11
        assert max(map(width, lines)) <= int(columns)
        # What the columns leave is for the answers.
        assert lines[0].index("ANSWER") <= int(columns) - 20


def test_ls_can_be_limited_to_a_number_and_to_models(askonce, path, url):
    models = ["gpt-4o", "gpt-4o", "GPT-4o-mini", "claude-haiku-4-5"]
    now = time.time()
    keep(path, *(chat_entry(model=m, created=now + place) for place, m in enumerate(models)))

    def listed(*words):
        code, out, err = askonce("ls", "--url", url, "--json", *words)
        return code, [json.loads(line)["model"] for line in out.splitlines()], err

    assert listed() == (0, models[::-1], "")
    assert listed("--limit", "2") == (
        0,
        ["claude-haiku-4-5", "GPT-4o-mini"],
        "the newest 2 are shown: --limit 0 lists all\n",
    )
    assert listed("--limit", "0") == listed("--limit", "4") == (0, models[::-1], "")
    assert listed("--model", "gpt-4o")[1] == ["gpt-4o"] * 2
    assert listed("--model", "GPT-4O*")[1] == ["GPT-4o-mini", "gpt-4o", "gpt-4o"]
    code, rows, err = listed("--model", "gpt-5*")
    assert (code, rows) == (1, [])
    assert f"{path} holds no entries of gpt-5*" in err


def test_ls_says_how_old_entries_are_and_when_they_end(askonce, path, url):
    now = time.time()
    keep(
        path,
        chat_entry("fresh", created=now, expires=None),
        chat_entry("old", created=now - 3 * DAY, expires=now + 2 * DAY + 600),
        chat_entry("gone", created=now - 9 * DAY, expires=now - DAY),
    )
    out = askonce("ls", "--url", url)[1]
    rows = [line.split() for line in out.splitlines()[1:]]
    assert rows[0][1:4] == ["0", "s", "never"]
    assert rows[1][1:6] == ["3", "d", "in", "2", "d"]
    assert rows[2][1:4] == ["9", "d", "expired"]


@pytest.mark.parametrize(
    ("body", "dialect", "says"),
    [
        (b'{"value":"text"}', "plain", "text"),
        (b'{"value":{"a":[1,2]}}', "plain", '{"a":[1,2]}'),
        (b'{"items":["one","two"]}', "plain", "one two"),
        (b"what a later release wrote", "openai.telepathy", "what a later release wrote"),
        (b"\xff\xfe", "openai.telepathy", "\\xff\\xfe"),
    ],
)
def test_ls_tells_what_an_answer_says(askonce, path, url, *, body, dialect, says):
    keep(path, Entry(body, time.time(), dialect=dialect))
    code, out, _ = askonce("ls", "--url", url)
    assert code == 0
    assert out.splitlines()[1].endswith(f"  {says}")


def test_ls_tells_of_tool_calls_and_vectors(askonce, upstream, url):
    upstream.script = lambda request: (
        Reply(tool_calls=(ToolCall("search", '{"q":"x"}'),)) if request.json.get("tools") else None
    )
    tool = {"type": "function", "function": {"name": "search", "parameters": {}}}
    with (
        Cache(url, strict=True) as cache,
        cache.wrap(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")) as client,
    ):
        client.chat.completions.create(
            model="gpt-4o", temperature=0, messages=user("Find x"), tools=[tool]
        )
        client.embeddings.create(model="text-embedding-3-small", input="x", encoding_format="float")
    out = askonce("ls", "--url", url)[1]
    assert 'search({"q":"x"})' in out
    assert "[1 x " in out


# show


def test_show_tells_all_of_an_entry(askonce, path, url):
    now = time.time()
    key = "ab" * 20
    keep(
        path,
        chat_entry(
            "Hello",
            created=now,
            expires=now + 3600,
            usage={"input": 1, "output": 2, "total": 3},
            tags={},
            unpinned=True,
            headers=(("x-request-id", "req_1"),),
        ),
        keys=[key],
    )
    for prefix in (key, "a", "ABab", f" {key[:12]} "):
        code, out, err = askonce("show", prefix, "--url", url)
        assert (code, err) == (0, "")
        for line in (
            f"key       {key}",
            "model     gpt-4o",
            "dialect   openai.chat",
            "usage     1 input token, 2 output tokens, 3 total tokens",
            "unpinned  yes: the model has no temperature to set to 0",
            '        "content": "Hello"',
        ):
            assert f"{line}\n" in out
        assert "(in 60 min)" in out
    found = json.loads(askonce("show", key, "--url", url, "--json")[1])
    assert found["answer"]["choices"][0]["message"]["content"] == "Hello"
    assert found["headers"] == [["x-request-id", "req_1"]]
    assert (found["key"], found["bytes"]) == (key, len(chat_entry("Hello").body))


def test_show_puts_a_stream_together(askonce, filled):
    listed = askonce("ls", "--url", filled, "--json")[1].splitlines()
    key = next(row["key"] for row in map(json.loads, listed) if row["streamed"])
    code, out, _ = askonce("show", key, "--url", filled)
    assert code == 0
    assert ", recorded as a stream\n" in out
    assert '"content": "Answer to: A stream"' in out


def test_show_tells_a_functions_result_as_it_was(askonce, path, url):
    keep(path, Entry(b'{"value":"first\\nsecond\\tend"}', time.time(), dialect="plain"))
    assert askonce("show", "0", "--url", url)[1].endswith("\n\nfirst\nsecond\tend\n")
    shown = json.loads(askonce("show", "0", "--url", url, "--json")[1])
    assert shown["answer"] == "first\nsecond\tend"


@pytest.mark.parametrize("command", ["show", "forget"])
@pytest.mark.parametrize(
    ("prefix", "code", "says"),
    [
        ("a", 2, "several keys begin with a (a1000000000"),
        ("a1", 2, "give more digits"),
        ("b", 1, "no entry has a key that begins with b: `askonce ls` lists them"),
        ("f", 1, "no entry has a key that begins with f"),
        ("xyz", 2, "'xyz' is not a key: use hexadecimal digits, as `askonce ls` shows"),
        ("", 2, "is not a key"),
        ("0x1", 2, "is not a key"),
        ("a" * 41, 2, "is not a key"),
        ("\x1b[31m", 2, "'\\x1b[31m' is not a key"),
    ],
)
def test_a_key_that_leads_to_no_single_entry(askonce, path, url, *, command, prefix, code, says):
    alias = Entry(bytes(20), time.time(), kind="alias")
    rows = {"a1" + 38 * "0": chat_entry(), "a1" + 38 * "f": chat_entry(), "f" * 40: alias}
    keep(path, *rows.values(), keys=rows)
    found, out, err = askonce(command, "--url", url, "--", prefix)
    assert (found, out) == (code, "")
    assert says in err
    assert json.loads(askonce("stats", "--url", url, "--json")[1])["entries"] == 2


def test_of_many_keys_that_begin_alike_a_few_are_named(askonce, path, url):
    keep(
        path, *(chat_entry() for _ in range(60)), keys=[f"ab{n:02x}" + 36 * "0" for n in range(60)]
    )
    code, _, err = askonce("show", "ab", "--url", url)
    assert code == 2
    assert err.count(" (ab") + err.count(", ab") == 5


# forget


def test_forget_drops_entries_by_their_keys(askonce, path, url):
    keep(path, *(chat_entry() for _ in range(3)))
    assert askonce("forget", "00", "02", "0000", "--url", url)[:2] == (0, "forgot 2 entries\n")
    assert askonce("forget", "01", "--url", url, "--json")[:2] == (0, '{"forgotten":1}\n')
    assert askonce("ls", "--url", url)[0] == 1


def test_one_wrong_key_leaves_all_entries_as_they_were(askonce, path, url):
    keep(path, *(chat_entry() for _ in range(3)))
    for wrong, code in (("ff", 1), ("none", 2)):
        assert askonce("forget", "00", "01", wrong, "--url", url)[0] == code
    assert json.loads(askonce("stats", "--url", url, "--json")[1])["entries"] == 3


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (("--model", "gpt-4o"), ["claude", "gpt-4o-mini", "gpt-4o-mini"]),
        (("--model", "GPT-4o*"), ["claude"]),
        (("--expired",), ["claude", "gpt-4o", "gpt-4o-mini"]),
        (("--expired", "--model", "gpt-4o*"), ["claude", "gpt-4o", "gpt-4o-mini"]),
        (("--expired", "--model", "gpt-4o"), ["claude", "gpt-4o", "gpt-4o-mini", "gpt-4o-mini"]),
        (("--all",), []),
    ],
)
def test_forget_drops_a_kind_of_entries(askonce, path, url, words, left):
    past = time.time() - 1
    keep(
        path,
        chat_entry(model="gpt-4o"),
        chat_entry(model="gpt-4o", expires=past),
        chat_entry(model="gpt-4o-mini"),
        chat_entry(model="gpt-4o-mini", expires=past),
        chat_entry(model="claude"),
    )
    code, out, _ = askonce("forget", "--url", url, "--json", *words)
    assert (code, json.loads(out)) == (0, {"forgotten": 5 - len(left)})
    rows = askonce("ls", "--url", url, "--json")[1].splitlines()
    assert sorted(json.loads(row)["model"] for row in rows) == left


def test_forgetting_many_entries_drops_their_aliases_too_and_counts_what_people_saw(
    askonce, path, url
):
    keep(
        path,
        *(chat_entry(f"answer {number}") for number in range(1100)),
        *(Entry(bytes(20), time.time(), kind="alias") for _ in range(100)),
        keys=[f"{number:04x}" + 36 * "0" for number in range(1200)],
    )
    assert askonce("forget", "--all", "--url", url)[1] == "forgot 1,100 entries\n"
    assert json.loads(askonce("stats", "--url", url, "--json")[1])["aliases"] == 0


def test_forgetting_nothing_is_1(askonce, path, url):
    keep(path, chat_entry())
    for words in (("--expired",), ("--model", "gpt-5")):
        code, out, err = askonce("forget", *words, "--url", url)
        assert (code, out, err) == (
            1,
            "",
            "askonce: nothing to forget: no entry is of that kind\n",
        )
        assert askonce("forget", *words, "--url", url, "--json")[:2] == (1, '{"forgotten":0}\n')
    assert askonce("ls", "--url", url)[0] == 0


def test_what_was_forgotten_is_asked_for_again(askonce, url, upstream):
    def ask():
        with (
            Cache(url, strict=True) as cache,
            cache.wrap(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")) as client,
        ):
            client.chat.completions.create(model="gpt-4o", temperature=0, messages=user("Why?"))
            return cache.last

    assert (ask().kind, ask().kind) == ("miss", "hit")
    for words in ((ask().key,), ("--model", "gpt-4o"), ("--all",)):
        assert askonce("forget", *words, "--url", url)[:2] == (0, "forgot 1 entry\n")
        assert (ask().kind, ask().kind) == ("miss", "hit")
    assert upstream.calls == 4


# Text that is not meant well


@pytest.mark.parametrize("columns", ["80", "120"])
def test_hostile_text_cannot_reach_the_terminal(askonce, path, url, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    now = time.time()
    keep(
        path,
        chat_entry(
            HOSTILE,
            model=HOSTILE,
            dialect=HOSTILE,
            usage={HOSTILE: 1},
            headers=((HOSTILE, HOSTILE),),
        ),
        chat_entry(HOSTILE, model=HOSTILE, tags={}),
        Entry(json.dumps({"value": HOSTILE}).encode(), now, dialect="plain", model=HOSTILE),
        Entry(json.dumps({"value": [HOSTILE]}).encode(), now, dialect="plain"),
        Entry(HOSTILE.encode(), now, dialect="later"),
    )
    shown = [("show", f"{number:02x}") for number in range(5)]
    for words in (("stats",), ("ls",), *shown):
        code, out, err = askonce(*words, "--url", url)
        assert (code, err) == (0, "")
        assert obeyed(out) == set()
        assert "漢字 🎉" in out or "red" in out
    lines = askonce("ls", "--url", url)[1].splitlines()
    assert len(lines) == 6
    assert max(map(width, lines)) <= int(columns)


def test_hostile_tags_cannot_reach_the_terminal(askonce, url):
    with Cache(url, strict=True) as cache, cache.using(tags=[HOSTILE]):
        cache.put("text", model="m")
    key = json.loads(askonce("ls", "--url", url, "--json")[1])["key"]
    out = askonce("show", key, "--url", url)[1]
    assert "\ntags      [31mred" in out
    assert obeyed(out) == set()
    assert json.loads(askonce("show", key, "--url", url, "--json")[1])["tags"] == [HOSTILE]


def test_json_holds_hostile_text_whole_and_escapes_its_control_characters(askonce, path, url):
    keep(path, chat_entry(HOSTILE, model=HOSTILE))
    for words in (("stats",), ("ls",), ("show", "00")):
        code, out, _ = askonce(*words, "--url", url, "--json")
        assert code == 0
        assert out.count("\n") == 1
        assert "\x1b" not in out
        assert "\x07" not in out
    shown = json.loads(out)
    assert shown["model"] == HOSTILE
    assert shown["answer"]["choices"][0]["message"]["content"] == HOSTILE


def test_hostile_file_names_cannot_reach_the_terminal(askonce, tmp_path):
    name = "\x1b[31mred\x07.json"
    for words in (("import", name), ("why", name, name), ("export", f"{name}/x")):
        code, out, err = askonce(*words)
        assert (code, out) in ((2, ""), (1, ""))
        assert obeyed(err) == set()
    (tmp_path / name).write_text('{"model":"m","messages":[],"temperature":0}')
    code, out, _ = askonce("why", name, name)
    assert code == 0
    assert obeyed(out) == set()


# Terminals, pipes and signals


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_only_a_terminal_is_given_colours_and_not_with_no_color(askonce, monkeypatch, url):
    assert "\x1b" not in askonce("doctor", url)[1]
    for given in (False, True):
        if given:
            monkeypatch.setenv("NO_COLOR", "1")
        screen = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", screen)
            askonce("doctor", url)
        assert ("\x1b[32mok    \x1b[0m  versions" in screen.getvalue()) is not given


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("stats",), "counting"),
        (("ls",), "listing"),
        (("forget", "--expired"), "forgetting"),
        (("export", "out.jsonl"), "exporting"),
        (("import", "in.jsonl"), "importing"),
    ],
)
def test_long_work_shows_a_bar_on_a_terminal_and_wipes_it_away(
    askonce, path, url, monkeypatch, *, words, what
):
    keep(path, *(chat_entry() for _ in range(3)), keys=[f"{n:02x}" + 38 * "0" for n in (0, 9, 255)])
    assert askonce("export", "in.jsonl", "--url", url) == (
        0,
        "exported 3 entries to in.jsonl\n",
        "",
    )
    # Everything takes long here.
    monkeypatch.setattr(terminal, "PATIENCE", 0.0)
    monkeypatch.setattr(terminal, "BETWEEN_FRAMES", 0.0)
    monkeypatch.setenv("COLUMNS", "60")
    assert "█" not in askonce(*words, "--url", url)[2]  # no terminal
    screen = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", screen)
        askonce(*words, "--url", url)
    bars = screen.getvalue().split("\r")
    assert bars[0] == ""
    assert bars[1].startswith(f"{what} ")
    assert "█" in bars[-2]
    assert bars[-1].startswith("\x1b[K")
    assert all(width(bar.removesuffix("\x1b[K")) <= 60 for bar in bars)


@pytest.fixture
def large(path, url):
    """A store with more to tell than a pipe takes in."""
    keep(path, *(chat_entry("long " * 1000) for _ in range(250)))
    return url


@pytest.mark.parametrize("words", [("ls", "--limit", "0", "--json"), ("export", "-")])
def test_a_reader_that_leaves_a_pipe_makes_it_141_without_a_word(large, words):
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *words, "--url", large],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline().startswith(b"{")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


@pytest.mark.parametrize("words", [("stats",), ("ls", "--json"), ("export", "-"), ("doctor",)])
def test_a_reader_that_was_never_there_makes_it_141_without_a_word(path, url, words):
    keep(path, chat_entry())
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words, "--url", url],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(shutil.which("bash") is None, reason="only bash tells the code of each part")
def test_head_in_a_shell_is_content(large):
    line = '"$0" -m askonce.cli ls --limit 0 --json --url "$1" | head -n 1; echo ${PIPESTATUS[0]}'
    done = subprocess.run(
        ["bash", "-c", line, sys.executable, large], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("{")
    assert done.stdout.endswith("\n141\n")
    assert done.stderr == ""


def test_an_interrupt_is_130_without_a_word(large):
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "export", "-", "--url", large],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.readline()  # it is at work, and cannot finish before more is read
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (130, b"")


def test_an_interrupted_export_leaves_nothing_behind(askonce, path, url, monkeypatch, tmp_path):
    keep(path, chat_entry())

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("askonce.commands.lines.write_entry", interrupt)
    before = names(tmp_path)
    assert askonce("export", "out.jsonl", "--url", url) == (130, "", "")
    assert names(tmp_path) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
@pytest.mark.parametrize("words", [("ls",), ("stats", "--json"), ("export", "-")])
def test_a_full_disk_under_the_output_is_3(path, url, words):
    keep(path, chat_entry())
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *words, "--url", url],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    problem = "the output cannot be used (No space left on device): name another file"
    assert done.stderr == f"askonce: {problem}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
def test_a_full_disk_under_an_export_is_3(askonce, path, url):
    keep(path, chat_entry())
    code, out, err = askonce("export", "/dev/full", "--url", url)
    assert (code, out) == (3, "")
    assert "cannot be used (No space left on device): name another file" in err


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_output_is_no_trouble(path, url, closed):
    keep(path, chat_entry())
    for command, code in (("ls", 0), ("export -", 0), ("show ff", 1)):
        line = f'"$0" -m askonce.cli {command} --url "$1" {closed}'
        done = subprocess.run(
            ["sh", "-c", line, sys.executable, url], capture_output=True, text=True, check=False
        )
        assert done.returncode == code
        assert not re.search("Traceback|Exception", done.stdout + done.stderr)


def test_a_terminal_that_knows_only_ascii_is_shown_escapes(path, url):
    keep(path, chat_entry("Grüße 漢字"))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "ls", "--url", url],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "120"},
        check=True,
    )
    assert b"Gr\\xfc\\xdfe \\u6f22\\u5b57" in done.stdout


@pytest.mark.skipif(not lockfile.AVAILABLE, reason="there are no locks on files here")
def test_a_store_that_another_process_locks_is_3_after_a_while(askonce, path, url, monkeypatch):
    monkeypatch.setattr("askonce.commands.opening.BUSY", 0.01)
    keep(path, chat_entry())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    code, out, err = askonce("forget", "00", "--url", url)
    assert (code, out) == (3, "")
    assert f"askonce: {path}: database is locked" in err
    assert askonce("ls", "--url", url)[0] == 0  # reading goes on
    other.close()
    assert askonce("forget", "00", "--url", url)[0] == 0
