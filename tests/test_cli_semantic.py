"""`askonce eval`, `simulate` and `tune`: what the tiers do to a person's own traffic."""

from __future__ import annotations

import gzip
import json

import pytest

from askonce.cli import main

PAIRS = [
    ("What is a cache?", "Please explain what a cache is.", 1),
    ("How tall is the Eiffel Tower?", "What is the height of the Eiffel Tower?", 1),
    ("What happened in 2023?", "What happened in 2024?", 0),
    ("Does Alice like Bob?", "Does Bob like Alice?", 0),
]
WAYS = (
    "How do I find my {}?",
    "Where can I find my {}?",
    "How can I find my {}?",
    "What is the way to find my {}?",
    "How to find my lost {}?",
    "Can you tell me how to find my {}?",
)
STREAM = [(way.format(it), it) for way in WAYS for it in ("password", "invoice", "parcel")]


def lines(path, rows):
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return str(path)


@pytest.fixture(params=["pairs.jsonl", "pairs.jsonl.gz"])
def pairs(request, tmp_path):
    rows = [{"q1": one, "q2": two, "label": label} for one, two, label in PAIRS]
    return lines(tmp_path / request.param, rows)


@pytest.fixture
def stream(tmp_path):
    rows = [{"text": text, "answer_id": answer} for text, answer in STREAM]
    return lines(tmp_path / "stream.jsonl", rows)


def shown(capsys, *arguments):
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_eval_shows_each_tier_its_default_first(pairs, capsys):
    found = shown(capsys, "eval", pairs)
    assert (found["pairs"], found["positives"]) == (4, 2)
    fields = {"tier", "operating_point", "coverage", "false_hit_rate", "precision"}
    assert all(fields | {"precision_low", "precision_high"} == it.keys() for it in found["results"])
    first = {}
    for it in found["results"]:
        first.setdefault(it["tier"], it)
    assert {name: it["operating_point"] for name, it in first.items() if name != "canonical"} == {
        "direct": 0.01,
        "cosine": 0.9,
    }
    assert (first["canonical"]["coverage"], first["canonical"]["false_hit_rate"]) == (0.5, 0.0)
    assert first["direct"]["false_hit_rate"] == 0.0
    # Likeness alone serves the pairs that differ.
    assert first["cosine"]["false_hit_rate"] >= 0.5


def test_eval_lists_what_was_served_wrongly_for_people(pairs, capsys):
    assert main(["eval", pairs]) == 0
    out = capsys.readouterr().out
    assert "4 pairs, 2 of them with one answer" in out
    assert "canonical" in out
    assert "cosine" in out


def test_simulate_replays_a_stream_beside_the_others(stream, capsys):
    found = shown(capsys, "simulate", stream, "--max-error", "0.05")
    assert found["questions"] == len(STREAM)
    assert 0 <= found["hit_rate"] <= 1
    assert found["error_among_hits"] == 0
    assert {it["method"] for it in found["compared"]} >= {"cosine"} or len(found["compared"]) >= 9
    assert found["over_time"][-1]["until"] == len(STREAM)


def test_simulate_without_evidence_serves_nothing_by_likeness(stream, capsys):
    found = shown(capsys, "simulate", stream, "--no-calibration")
    assert "direct" not in found["tiers"] or not found["tiers"]["direct"]
    assert all("closed" in it for it in found["lanes"].values())


def test_tune_recommends_only_what_the_evidence_allows(tmp_path, capsys):
    row = {"lane": "agreement", "score": 0.99, "old": "a", "new": "b"}
    few = lines(tmp_path / "few.jsonl", [{**row, "right": True}] * 10)
    assert shown(capsys, "tune", few)["recommended"] is None
    many = lines(tmp_path / "many.jsonl", [{**row, "right": True}] * 700)
    assert shown(capsys, "tune", many)["recommended"] == 0.01
    worse = [{**row, "right": number % 30 != 0} for number in range(700)]
    found = shown(capsys, "tune", lines(tmp_path / "worse.jsonl", worse))
    assert found["recommended"] == 0.05
    assert main(["tune", many]) == 0
    assert "Recommended: Semantic(max_error=0.01)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "good"),
    [
        ("eval", {"q1": "a", "q2": "b", "label": 1}),
        ("simulate", {"text": "a", "answer_id": "b"}),
        ("tune", {"lane": "agreement", "score": 0.5, "right": True}),
    ],
)
@pytest.mark.parametrize("bad", ["{", '{"q1": 1}', "[]", "nonsense"])
def test_a_line_that_is_none_is_named(command, good, bad, tmp_path, capsys):
    path = tmp_path / "given.jsonl"
    path.write_text(f"{json.dumps(good)}\n{bad}\n")
    assert main([command, str(path)]) == 2
    assert f"{path}, line 2: " in capsys.readouterr().err


@pytest.mark.parametrize("command", ["eval", "simulate", "tune"])
def test_a_file_that_is_not_there_or_empty_is_an_error(command, tmp_path, capsys):
    assert main([command, str(tmp_path / "none.jsonl")]) in (2, 3)
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    assert main([command, str(empty)]) in (1, 2)
    assert capsys.readouterr().err


def test_a_part_that_is_none_is_refused(stream, capsys):
    assert main(["simulate", stream, "--max-error", "2"]) == 2
    assert "--max-error" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["eval"], ["simulate", "--max-error", "0.01"]])
def test_without_the_models_a_command_says_what_to_install(command, tmp_path, monkeypatch, capsys):
    row = {"eval": {"q1": "a", "q2": "b", "label": 1}, "simulate": {"text": "a", "answer_id": "b"}}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row[command[0]]) + "\n")
    monkeypatch.setattr("askonce.searching.find_spec", lambda name: None)
    assert main([command[0], str(path), *command[1:]]) != 0
    assert 'pip install "askonce[semantic]"' in capsys.readouterr().err
