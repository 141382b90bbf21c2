"""`askonce export` and `import`: a store as a file of lines, and back, exactly."""

from __future__ import annotations

import gzip
import json
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from anthropic import Anthropic
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI

from askonce import Cache, Entry
from askonce.blocking import run
from askonce.cli import main
from askonce.commands import lines
from askonce.stores.sqlite import SQLite

KEY = "0b" * 20
HEAD = '{"format":"askonce-export","version":1}'
LINE = f'{{"key":"{KEY}","created":1.5,"dialect":"plain","text":"{{\\"value\\":1}}"}}'


@pytest.fixture
def askonce(capsys, monkeypatch, tmp_path):
    """Run a command in this process: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def command(*words):
        code = main(words)
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def other(tmp_path):
    """The URL of another store, that is not there yet."""
    return f"sqlite:///{tmp_path}/other/answers.db"


def keep(url, entries):
    async def work():
        store = SQLite(url.removeprefix("sqlite:///"))
        await store.put(entries)
        await store.close()

    run(work())


def held(url):
    """Everything in a store, by key; of tags the names, for their versions are each store's own."""

    async def work():
        store = SQLite(url.removeprefix("sqlite:///"))
        found = await store.scan(limit=10_000)
        await store.close()
        return dict(found)

    return {
        key: {
            **{name: getattr(entry, name) for name in Entry.__struct_fields__},
            "tags": [*entry.tags],
        }
        for key, entry in run(work()).items()
    }


def value(number=1, **facts):
    return Entry(json.dumps({"value": number}).encode(), 1.5, dialect="plain", **facts)


def numbered(count):
    return {
        bytes([number // 250, number % 250, *[7] * 18]): value(number) for number in range(count)
    }


def ask_all(url, upstream, tags):
    """Make a call of every kind: what each said, and how each ended."""
    messages = [{"role": "user", "content": "Why? 漢字 \u2028"}]
    with (
        Cache(url, strict=True) as cache,
        cache.wrap(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")) as openai,
        cache.wrap(Anthropic(base_url=upstream.url, api_key="k")) as anthropic,
        cache.using(tags=tags),
        cache.recording() as outcomes,
    ):

        @cache
        def shout(text):
            return [f"{text}!", 1.5, None]

        chat = openai.chat.completions
        said = [
            chat.create(model="gpt-4o", temperature=0, messages=messages).model_dump(),
            chat.with_raw_response.create(
                model="gpt-4o", temperature=0, messages=messages, n=2
            ).text,
            [
                chunk.model_dump()
                for chunk in chat.create(
                    model="gpt-4o", temperature=0, messages=messages, seed=1, stream=True
                )
            ],
            openai.responses.create(model="gpt-5-mini", input="Hello").model_dump(),
            openai.embeddings.create(model="text-embedding-3-small", input=["a", "b"]).model_dump(),
            anthropic.messages.create(
                model="claude-haiku-4-5",
                max_tokens=100,
                messages=messages,
                extra_body={"temperature": 0},
            ).model_dump(),
            shout("hello"),
        ]
    return said, [outcome.kind for outcome in outcomes]


# There and back


@pytest.mark.parametrize("tags", [[], ["doc:42", "漢字"]])
@pytest.mark.parametrize("file", ["out.jsonl", "out.jsonl.gz"])
def test_an_imported_store_answers_every_call_as_the_first_one_did(
    askonce, url, other, upstream, *, tags, file
):
    first, outcomes = ask_all(url, upstream, tags)
    assert set(outcomes) == {"miss"}
    calls = upstream.calls
    code, out, err = askonce("export", file, "--url", url)
    assert (code, err) == (0, "")
    assert out.startswith("exported 8 entries and ")
    assert out.endswith(f" aliases to {file}\n")
    code, out, err = askonce("import", file, "--url", other)
    assert code == 0
    assert out.startswith("imported 8 entries and ")
    assert ("is alive again" in err) is bool(tags)
    assert held(other) == held(url)
    again, outcomes = ask_all(other, upstream, tags)
    assert set(outcomes) == {"hit"}
    assert upstream.calls == calls
    assert again == first


def test_an_imported_alias_lets_a_repeated_call_skip_the_transport(askonce, url, other, upstream):
    ask_all(url, upstream, [])
    aliases = {key: entry for key, entry in held(url).items() if entry["kind"] == "alias"}
    assert aliases
    askonce("export", "out.jsonl", "--url", url)
    askonce("import", "out.jsonl", "--url", other)
    found = held(other)
    assert {key: found[key] for key in aliases} == aliases
    assert all(entry["body"] in found for entry in aliases.values())


def test_an_export_can_go_through_a_pipe(url, other):
    keep(url, numbered(3))
    command = [sys.executable, "-m", "askonce.cli"]
    with subprocess.Popen(
        [*command, "export", "-", "--url", url], stdout=subprocess.PIPE
    ) as exporting:
        done = subprocess.run(
            [*command, "import", "-", "--url", other],
            stdin=exporting.stdout,
            capture_output=True,
            text=True,
            check=True,
        )
    assert exporting.returncode == 0
    assert done.stdout == "imported 3 entries\n"
    assert held(other) == held(url)


def test_what_was_done_is_also_told_as_json(askonce, url, other):
    keep(url, {**numbered(2), bytes(20): Entry(bytes(20), 1.5, kind="alias")})
    assert askonce("export", "o.jsonl", "--url", url, "--json") == (
        0,
        '{"file":"o.jsonl","entries":2,"aliases":1}\n',
        "",
    )
    for told in (
        '{"entries":2,"aliases":1,"kept":0,"tags":[]}\n',
        '{"entries":0,"aliases":0,"kept":2,"tags":[]}\n',
    ):
        assert askonce("import", "o.jsonl", "--url", other, "--json") == (0, told, "")
    assert askonce("import", "o.jsonl", "--url", other)[1] == (
        "imported 0 entries; 2 were there and stay as they are\n"
    )


def test_what_is_there_stays_unless_it_is_to_be_replaced_or_has_expired(askonce, url, other):
    there, gone = numbered(2)
    keep(url, {there: value("exported"), gone: value("exported")})
    keep_other = {there: value("there"), gone: value("gone", expires=time.time() - 1)}
    Path(other.removeprefix("sqlite:///")).parent.mkdir()
    keep(other, keep_other)
    askonce("export", "out.jsonl", "--url", url)
    askonce("import", "out.jsonl", "--url", other)
    bodies = [entry["body"] for entry in held(other).values()]
    assert bodies == [b'{"value": "there"}', b'{"value": "exported"}']
    out = askonce("import", "out.jsonl", "--url", other, "--overwrite")[1]
    assert out == "imported 2 entries\n"
    assert held(other) == held(url)


def test_tags_take_the_versions_of_the_store_they_come_to(askonce, url, other):
    request = {"model": "m"}
    for tag in ("doc:1", "doc:2"):
        with Cache(url, strict=True) as cache, cache.using(tags=[tag]):
            cache.put(tag, **request, tag=tag)
    askonce("export", "out.jsonl", "--url", url)
    with Cache(other, strict=True) as cache:
        cache.invalidate(tag="doc:1")
    code, out, err = askonce("import", "out.jsonl", "--url", other, "--json")
    assert (code, json.loads(out)["tags"]) == (0, ["doc:1", "doc:2"])
    err = askonce("import", "out.jsonl", "--url", other, "--overwrite")[2]
    assert err == (
        "note: what depends on 2 tags is alive again; "
        "invalidate what has changed since the export\n"
    )
    with Cache(other, strict=True) as cache:
        assert cache.get(**request, tag="doc:1") == "doc:1"
        cache.invalidate(tag="doc:1")
        assert cache.get(**request, tag="doc:1") is None
        assert cache.get(**request, tag="doc:2") == "doc:2"


def test_more_entries_than_fit_one_transaction_all_arrive(askonce, url, other):
    keep(url, numbered(1001))
    assert askonce("export", "out.jsonl", "--url", url)[1].startswith("exported 1,001 entries")
    assert askonce("import", "out.jsonl", "--url", other)[1] == "imported 1,001 entries\n"
    assert held(other) == held(url)


text = st.text(st.characters(exclude_categories=["Cs"]))
times = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.builds(
        Entry,
        body=st.binary() | text.map(str.encode),
        created=times,
        expires=st.none() | times,
        kind=st.sampled_from(["answer", "value"]),
        status=st.integers(100, 599),
        headers=st.lists(st.tuples(text, text)).map(tuple),
        streamed=st.booleans(),
        dialect=text.map(lambda name: f"later.{name}"),
        model=text,
        usage=st.dictionaries(text, st.integers(-(2**63), 2**63 - 1)),
        unpinned=st.booleans(),
        tags=st.dictionaries(text, st.just(b"")),
    ),
    st.binary(min_size=20, max_size=20),
)
def test_any_entry_is_the_same_after_it_was_a_line(entry, key):
    line = lines.write_entry(key, entry)
    assert line.count(b"\n") == 1
    assert lines.read_entry(line) == (key, entry)


# The file


def test_an_export_is_readable_by_its_owner_only_and_by_any_program(askonce, url):
    keep(url, numbered(1))
    askonce("export", "out.jsonl", "--url", url)
    assert stat.S_IMODE(Path("out.jsonl").stat().st_mode) == 0o600
    head, line = map(json.loads, Path("out.jsonl").read_text().splitlines())
    assert (head["format"], head["version"]) == ("askonce-export", 1)
    assert line == {
        "key": "0000" + "07" * 18,
        "created": 1.5,
        "dialect": "plain",
        "text": '{"value": 0}',
    }
    askonce("export", "out.jsonl.gz", "--url", url)
    assert gzip.decompress(Path("out.jsonl.gz").read_bytes()).splitlines()[1:] == [
        json.dumps(line, separators=(",", ":")).encode()
    ]


def test_an_export_replaces_the_last_one_whole_and_leaves_nothing_beside_it(askonce, url, tmp_path):
    keep(url, numbered(2))
    Path("out.jsonl").write_text("the last export")
    assert askonce("export", "out.jsonl", "--url", url)[0] == 0
    assert len(Path("out.jsonl").read_text().splitlines()) == 3
    assert not list(tmp_path.glob("*.part"))


def test_an_export_that_meets_damage_half_way_fails_and_the_last_one_stays(askonce, url, tmp_path):
    keep(url, {key: value("long " * 500) for key in numbered(400)})
    path = Path(url.removeprefix("sqlite:///"))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * (size // 2))
    Path("out.jsonl").write_text("the last export")
    code, out, err = askonce("export", "out.jsonl", "--url", url)
    assert (code, out) == (3, "")
    assert f"{path} is damaged" in err
    assert Path("out.jsonl").read_text() == "the last export"
    assert not list(tmp_path.glob("*.part"))
    assert not list(tmp_path.glob("*.damaged-*"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("export", "nowhere/out.jsonl"), "is in no folder that exists: name a file in a folder"),
        (("export", "."), ". is a folder: name a file"),
        (("import", "missing.jsonl"), "cannot be read (No such file or directory): name an export"),
        (("import", "."), "cannot be read (Is a directory): name an export"),
        (("import", "in.jsonl", "--url", "memory://"), "no command can see it"),
        (("import", "in.jsonl", "--url", "answers.db"), "is not the URL of a store"),
    ],
)
def test_a_file_or_store_that_cannot_be_is_2_and_nothing_is_made(
    askonce, url, tmp_path, words, says
):
    keep(url, numbered(1))
    Path("in.jsonl").write_text(f"{HEAD}\n{LINE}\n")
    before = sorted(tmp_path.iterdir())
    code, out, err = askonce(words[0], "--url", url, *words[1:])
    assert (code, out) == (2, "")
    assert says in err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "this is not an export of askonce; write one with `askonce export FILE`"),
        ("{}\n", "not an export"),
        ("not JSON\n", "not an export"),
        ('{"format":"dump","version":1}\n', "not an export"),
        ('{"format":"askonce-export"}\n', "not an export"),
        (f"{LINE}\n", "not an export"),
        (b"\x1f\x8b\x08 is gzip without its ending\n", "not an export"),
        (
            '{"format":"askonce-export","version":2,"more":1}\n',
            "the export has version 2, and this askonce reads 1; pip install --upgrade askonce",
        ),
    ],
)
def test_what_is_no_export_is_3_and_no_store_is_begun(askonce, other, tmp_path, content, says):
    Path("in.jsonl").write_bytes(content if isinstance(content, bytes) else content.encode())
    code, out, err = askonce("import", "in.jsonl", "--url", other)
    assert (code, out) == (3, "")
    assert err.startswith("askonce: in.jsonl, line 1: ")
    assert says in err
    assert [file.name for file in tmp_path.iterdir()] == ["in.jsonl"]


def line(**members):
    return json.dumps({**json.loads(LINE), **members})


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (LINE[:-9], "; correct the line or take it out"),
        ("[]", "Expected `object`, got `array`"),
        ('{"key":"0b"}', "at `$.key`"),
        (line(key="0B" * 20), "at `$.key`"),
        (line(created="now"), "at `$.created`"),
        (line(status=99), "at `$.status`"),
        (line(kind="guess"), "at `$.kind`"),
        (line(later=1), "unknown field `later`"),
        (line(text="\x1b[31m")[:-2] + "\x1b[0m", "invalid"),
        (LINE.encode()[:-3] + b"\xff\xfe", "; correct the line or take it out"),
        (line(text=None), "any other entry `text` or `base64`"),
        (line(base64="e30="), "any other entry `text` or `base64`"),
        (line(text=None, base64="e30"), "the base64 is wrong"),
        (line(text=None, base64="!"), "the base64 is wrong"),
        (line(target=KEY), "an alias has a `target`"),
        (line(kind="alias"), "an alias has a `target`"),
        (line(text="not JSON"), "the body is no whole answer of plain; take the line out"),
        (line(dialect="openai.chat", text="[]"), "the body is no whole answer of openai.chat"),
        (line(dialect="openai.chat", streamed=True, text="data: {}\n\n"), "no whole answer"),
        ("[" * 100_000, "; correct the line or take it out"),
    ],
)
def test_a_broken_line_is_3_and_what_stands_before_it_is_imported(askonce, other, broken, says):
    good = [line(key=f"{number:02x}" * 20) for number in range(3)]
    raw = broken if isinstance(broken, bytes) else broken.encode()
    file = b"\n".join([HEAD.encode(), *(item.encode() for item in good), raw, LINE.encode()])
    Path("in.jsonl").write_bytes(file)
    code, out, err = askonce("import", "in.jsonl", "--url", other)
    assert (code, out) == (3, "")
    assert err.startswith("askonce: in.jsonl, line 5: ")
    assert says in err
    assert err.endswith("; the lines before it are imported\n")
    assert all(letter.isprintable() for letter in err.removesuffix("\n"))
    assert [key.hex() for key in held(other)] == [json.loads(item)["key"] for item in good]


def test_a_file_that_breaks_off_in_a_line_is_3(askonce, other):
    Path("in.jsonl").write_text(f"{HEAD}\n{LINE[:-9]}")
    code, _, err = askonce("import", "in.jsonl", "--url", other)
    assert (code, err) == (
        3,
        "askonce: in.jsonl, line 2: Input data was truncated; correct the line or take it out\n",
    )


def test_empty_lines_and_later_heads_are_read(askonce, other):
    head = '{"format":"askonce-export","version":1,"later":{"a":1}}'
    Path("in.jsonl").write_text(f"{head}\n\n{LINE}\n\n")
    assert askonce("import", "in.jsonl", "--url", other)[:2] == (0, "imported 1 entry\n")


def test_a_compressed_file_that_breaks_off_is_a_wrong_line(askonce, url, other):
    keep(url, {key: value(f"answer {number}") for number, key in enumerate(numbered(500))})
    askonce("export", "whole.jsonl.gz", "--url", url)
    packed = Path("whole.jsonl.gz").read_bytes()
    Path("cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    code, out, err = askonce("import", "cut.jsonl.gz", "--url", other)
    assert (code, out) == (3, "")
    assert "the compressed file is damaged (" in err
    assert "; export again; the lines before it are imported\n" in err
    broken = int(err.partition(", line ")[2].partition(":")[0])
    whole = list(held(url).items())
    # The head and the entries stand before the line that broke off.
    assert list(held(other).items()) == whole[: broken - 2]
    assert 0 < broken - 2 < len(whole)


@pytest.mark.parametrize("content", [f"{HEAD}\n{LINE}\n".encode(), b"", b"\x1f\x8b"])
def test_a_file_named_gz_that_is_none_is_3(askonce, other, tmp_path, content):
    Path("in.jsonl.gz").write_bytes(content)
    code, out, err = askonce("import", "in.jsonl.gz", "--url", other)
    assert (code, out) == (3, "")
    assert err.startswith("askonce: in.jsonl.gz, line 1: ")
    assert len(list(tmp_path.iterdir())) == 1


def test_an_import_into_a_damaged_store_begins_a_new_one(askonce, url, tmp_path, caplog):
    keep(url, numbered(1))
    askonce("export", "out.jsonl", "--url", url)
    path = Path(url.removeprefix("sqlite:///"))
    with path.open("r+b") as file:
        file.seek(0)
        file.write(b"\xff" * path.stat().st_size)
    assert askonce("import", "out.jsonl", "--url", url)[:2] == (0, "imported 1 entry\n")
    assert "is damaged" in caplog.text
    assert len(list(tmp_path.glob("*.damaged-*"))) == 1
    assert list(held(url)) == list(numbered(1))


def test_what_was_made_from_a_document_is_alive_again_only_with_its_content(askonce, tmp_path):
    def urls(name):
        return f"sqlite:///{tmp_path}/{name}.db"

    def answer(url, content):
        with Cache(url) as cache, cache.using(tags=[cache.document("handbook.md", content)]):
            found = cache.get(question="q")
            cache.put(content, question="q")
            return found

    answer(urls("old"), "one")
    askonce("export", "out.jsonl", "--url", urls("old"))
    for content, alive in (("one", True), ("two", False)):
        url = urls(content)
        with Cache(url) as cache:
            cache.document("handbook.md", content)
        askonce("import", "out.jsonl", "--url", url)
        assert answer(url, content) == ("one" if alive else None)
