"""The demo runs whole, without a key and without a network, and shows what it promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from askonce import Cache, Outcome
from askonce.cli import main
from askonce.commands.measuring import Said, Step, Table, WrongAnswerError
from askonce.testing.fake_script import Reply

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What one run prints, and the folder in which it kept what it kept."""
    folder = tmp_path_factory.mktemp("demo")
    environment = {name: value for name, value in os.environ.items() if name not in KEYS}
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    homes = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "TMPDIR"), str(folder))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "askonce.cli", "demo"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**environment, **nowhere, **homes, "PYTHONIOENCODING": "utf-8"},
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout, folder


@pytest.fixture(scope="module")
def rows(shown):
    """The lines of the table by what they show: outcome, time, upstream calls, times faster."""
    lines = shown[0].partition("WHAT ")[2].partition("\n\n")[0].splitlines()[1:]
    group, found = "", {}
    for line in lines:
        if line.startswith("    "):
            found[group, "reason"] = line.strip()
            continue
        what, *cells = re.split(r"  +", line.strip())
        group = group if line.startswith("  ") else what
        found[group, "" if what == group else what] = cells
    return found


@pytest.mark.parametrize(
    ("row", "outcome", "upstream"),
    [
        (("OpenAI: a question", ""), "miss", "1"),
        (("OpenAI: a question", "the same again"), "hit", "0"),
        (("OpenAI: a question", "1,000 times: the median"), "hit", "0"),
        (("OpenAI: a question", "the same, as a stream"), "hit", "0"),
        (("OpenAI: a question", "from the async client"), "hit", "0"),
        (("OpenAI: a question", "in another process"), "hit", "0"),
        (("OpenAI: a stream", ""), "miss", "1"),
        (("OpenAI: a stream", "the same again"), "hit", "0"),
        (("OpenAI: a stream", "the same, read whole"), "hit", "0"),
        (("temperature 0.7", ""), "bypass", "1"),
        (("Anthropic: a question", ""), "miss", "1"),
        (("Anthropic: a question", "the same again"), "hit", "0"),
        (("Other words: a question", ""), "miss", "1"),
        (("Other words: a question", "explain RAG in AI"), "hit", "0"),
        (("Other words: a question", "RAG in immunology"), "miss", "1"),
        (("Other words: a question", "AI in 2023"), "miss", "1"),
        (("Other words: a question", "AI in 2024"), "miss", "1"),
    ],
)
def test_the_table_has_a_row(rows, row, outcome, upstream):
    cells = rows[row]
    assert (cells[0], cells[2]) == (outcome, upstream)
    assert re.fullmatch(r"[\d.,]+ (µs|ms|s)", cells[1])
    # How many times faster a hit was is shown, and it was faster.
    assert len(cells) == (4 if outcome == "hit" else 3)
    assert all(int(cell.removesuffix(" x").replace(",", "")) > 1 for cell in cells[3:])


def test_a_hundred_equal_calls_at_once_make_one_upstream_call(rows):
    outcome, _, upstream = rows["100 equal calls at once", ""]
    counts = dict(reversed(part.split(" ")) for part in outcome.split(", "))
    assert upstream == counts["miss"] == "1"
    assert counts.keys() <= {"miss", "collapsed", "hit"}
    assert sum(map(int, counts.values())) == 100


def test_the_bypass_shows_its_reason(rows):
    assert rows["temperature 0.7", "reason"] == "sampled: temperature is 0.7; only 0 is cached"


def test_the_sums_are_those_of_the_rows(shown):
    sums = shown[0].partition("upstream calls ")[2]
    # Eight misses and one bypass; eight hits and 99 calls that waited for another.
    assert sums.startswith("    9 made, 107 saved\n")
    assert "factor saved       13 x: 116 calls for the price of 9\n" in sums
    assert re.search(r"^tokens not bought  [\d,]+$", sums, re.MULTILINE)
    assert re.search(r"^waiting saved      [\d.]+ s$", sums, re.MULTILINE)
    assert "answers compared   8 hits, all equal to what was paid for\n" in sums
    assert "now in the cache   4 answers, " in sums


def test_it_fits_a_terminal_and_leaves_nothing_behind(shown):
    out, folder = shown
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out
    assert list(folder.iterdir()) == []


def test_an_answer_that_is_not_the_one_paid_for_ends_it():
    table = Table(None)
    paid = Step(1.0, Said("Paris", 3), [Outcome("miss")])
    with pytest.raises(WrongAnswerError, match="the same again: the answer is not the one paid"):
        table.add("  the same again", Step(0.1, Said("London", 3), [Outcome("hit")]), paid)
    assert (table.saved, table.compared) == (0, 0)


# Against a provider: here a server of ours stands where the environment says the provider is


@pytest.fixture
def provider(upstream, monkeypatch):
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{upstream.url}/v1")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", upstream.url)
    return upstream


def test_the_real_providers_are_asked_only_with_a_key_and_on_demand(provider, capsys):
    assert main(["demo", "--real"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "needs OPENAI_API_KEY or ANTHROPIC_API_KEY in the environment" in err
    assert "`askonce demo` alone needs no key" in err
    assert provider.calls == 0


def test_a_provider_whose_key_is_there_is_asked_the_same(provider, capsys, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    assert main(["demo", "--real"]) == 0
    out = capsys.readouterr().out
    assert "The official clients call the real providers.\n" in out
    assert "upstream calls     1 made, 1 saved\n" in out
    assert "factor saved       2 x: 2 calls for the price of 1\n" in out
    assert provider.calls == 1
    assert "OpenAI:" not in out


def test_what_a_provider_refuses_is_told_in_one_line(provider, capsys, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    provider.script = lambda request: Reply(status=401, error="this key is nobody's")
    assert main(["demo", "--real"]) == 3
    err = capsys.readouterr().err
    assert err.startswith("askonce: the provider did not answer: ")
    assert "this key is nobody's" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_without_an_sdk_it_says_what_to_install(name, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    assert main(["demo"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f'{name} is not installed: pip install "askonce[demo]"' in err


def test_the_steps_are_measured_with_the_outcomes_of_their_own_calls(cache: Cache):
    from askonce.commands.measuring import measure

    def call():
        cache.get(model="m")
        return Said("", 0)

    cache.get(model="m")
    step = measure(cache, call)
    assert [outcome.kind for outcome in step.outcomes] == ["miss"]
    assert step.seconds > 0
