"""The examples run as their readers run them: whole, in a process of their own."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from askonce import Cache

ROOT = Path(__file__).parent.parent
RUN = re.compile(r"^(\d): .{23} +(\d+) +(\d+) +(\d+) +(\d+) +([\d.]+)  \$([\d.]+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the example and of the documents that it reads: nobody edits these meanwhile."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("examples", "docs"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "README.md", folder)
    return folder


@pytest.fixture(scope="module")
def rag(project):
    """The example as a module, for its parts that call nobody."""
    found = importlib.util.spec_from_file_location("rag", project / "examples" / "rag.py")
    module = importlib.util.module_from_spec(found)
    sys.modules["rag"] = module  # where dataclasses look for it
    found.loader.exec_module(module)
    yield module
    del sys.modules["rag"]


def run(project, *arguments, **environment):
    """Run it, and read its table: run number to chats, embeddings, texts and chain hits."""
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    kept = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(project / "examples" / "rag.py"), *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**kept, **nowhere, "PYTHONIOENCODING": "utf-8", **environment},
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    rows = [row.groups() for row in RUN.finditer(done.stdout)]
    return {int(row[0]): tuple(map(int, row[1:5])) for row in rows}, rows, done.stdout


@pytest.fixture(scope="module")
def both(project, tmp_path_factory):
    """What two processes over one file print, one after the other."""
    url = f"sqlite:///{tmp_path_factory.mktemp('kept')}/rag.db"
    before = contents(project)
    runs = run(project, "--cache", url), run(project, "--cache", url)
    assert contents(project) == before
    return runs


def contents(project):
    """Read the documents of the project."""
    files = [project / "README.md", *project.glob("docs/**/*.md")]
    return {file: file.read_bytes() for file in files}


def found(rag, texts):
    """Find the passages of each question without any cache, and with a sort of our own."""
    passages = [passage for name in texts for passage in rag.split(name, texts[name])]
    vectors = [rag.bag_of_words(passage.text) for passage in passages]

    def near(question):
        asked = rag.bag_of_words(question)
        scored = [
            (-sum(x * y for x, y in zip(asked, vector, strict=True)), at)
            for at, vector in enumerate(vectors)
        ]
        return [passages[at] for _, at in sorted(scored)[: rag.TOP]]

    return [near(question) for question in rag.QUESTIONS], len(passages)


@pytest.fixture(scope="module")
def expected(rag):
    """Count what must be sent: all passages, and the questions whose passages an edit changes."""
    texts = rag.read_documents()
    before, passages = found(rag, texts)
    first = before[0][0]
    edited = texts[first.document].replace(first.text, f"{first.text}\nStill so.\n", 1)
    after, _ = found(rag, {**texts, first.document: edited})
    changed = sum(old != new for old, new in zip(before, after, strict=True))
    return len(rag.QUESTIONS), passages, changed


def test_only_what_depended_on_the_edited_document_is_asked_again(both, expected):
    questions, passages, changed = expected
    rows, _, _ = both[0]
    assert 0 < changed < questions
    assert rows == {
        1: (questions, questions + 1, questions + passages, 0),
        2: (0, 0, 0, questions),
        3: (changed, 1, 1, 0),
        4: (0, 0, 0, 0),
    }


def test_a_second_process_over_the_same_file_pays_for_nothing(both, expected):
    questions = expected[0]
    rows, _, _ = both[1]
    assert rows == {
        1: (0, 0, 0, questions),
        2: (0, 0, 0, questions),
        3: (0, 0, 0, 0),
        4: (0, 0, 0, 0),
    }


def test_money_is_saved_where_calls_are_and_the_same_by_every_process(both):
    first, second = ([float(row[6]) for row in rows] for _, rows, _ in both)
    assert first[0] == 0 < first[2] < first[1]
    assert second[0] == second[1] == first[1]
    assert second[2] > first[2]


def test_a_document_that_is_added_or_taken_away_is_found_or_not_from_then_on(rag):
    question = rag.QUESTIONS[0]
    texts = {f"{name}.md": f"# {name}\n{name} passage {name}" for name in ("one", "two", "three")}
    with rag.provider(real=False) as (client, wire), Cache("memory://") as cache:
        chain = rag.Rag(cache, cache.wrap(client))

        def sources(*documents):
            chain.index = rag.Index(cache, client, {name: texts[name] for name in documents})
            return chain.answer(question).sources

        texts["new.md"] = f"# New\n{question}"
        assert "new.md" not in sources("one.md", "two.md", "three.md")
        assert sources("one.md", "two.md", "three.md", "new.md")[0] == "new.md"
        assert "new.md" not in sources("one.md", "two.md", "three.md")
        assert wire.chats == 2  # the third one is the first again


def test_it_reads_all_documents_of_the_project(both, project):
    assert f"6 questions to {len(contents(project))} documents" in both[0][2]


def test_the_table_counts_what_a_provider_is_sent(project, rag, upstream, expected):
    questions, passages, changed = expected
    upstream.script = rag.answer_as_a_stand_in
    rows, _, _ = run(project, "--real", OPENAI_API_KEY="k", OPENAI_BASE_URL=f"{upstream.url}/v1")
    sent = [sum(row[column] for row in rows.values()) for column in range(3)]
    assert sent == [
        upstream.count("/chat/completions"),
        upstream.count("/embeddings"),
        sum(len(request.json["input"]) for request in upstream.requests if "/emb" in request.path),
    ]
    assert sent == [questions + changed, questions + 2, questions + passages + 1]


def test_the_real_provider_is_asked_only_with_a_key(project):
    command = [sys.executable, str(project / "examples" / "rag.py"), "--real"]
    environment = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert "--real needs OPENAI_API_KEY in the environment" in done.stderr
