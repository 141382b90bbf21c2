"""The data package: its files are those that its hashes name, and say what they are."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import askonce_models
import onnxruntime
import pytest

MODELS = Path(__file__).parent.parent / "models"
FOLDER = MODELS / "src" / "askonce_models"
SUMS = dict(
    reversed(line.split("  ")) for line in (FOLDER / "SHA256SUMS").read_text("ascii").splitlines()
)
CODE = {"SHA256SUMS", "__init__.py", "py.typed"}


def test_every_file_of_data_has_its_hash_and_no_other_has():
    kept = {path.name for path in FOLDER.iterdir() if path.is_file()} - CODE
    assert kept == set(SUMS)
    assert {"embedder.onnx", "tokenizer.json"} <= kept


@pytest.mark.parametrize("name", sorted(SUMS))
def test_a_file_is_the_one_that_its_hash_names(name):
    content = askonce_models.path(name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == SUMS[name] == askonce_models.sha256(name)


@pytest.mark.parametrize("name", sorted(SUMS))
def test_a_file_is_small_enough_for_a_repository(name):
    assert askonce_models.path(name).stat().st_size <= 45_000_000


@pytest.mark.parametrize("ask", [askonce_models.path, askonce_models.sha256])
def test_a_file_that_is_not_there_is_an_error_that_names_those_that_are(ask):
    with pytest.raises(FileNotFoundError, match=r"no file 'embedder'.*embedder\.onnx"):
        ask("embedder")


@pytest.mark.parametrize("name", ["../pyproject.toml", "__init__.py", ""])
def test_nothing_but_data_is_handed_out(name):
    with pytest.raises(FileNotFoundError):
        askonce_models.path(name)


def test_the_embedder_says_what_it_was_made_of():
    session = onnxruntime.InferenceSession(askonce_models.path("embedder.onnx"))
    about = session.get_modelmeta().custom_metadata_map
    assert about["model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert about["license"] == "Apache-2.0"
    assert about["source_sha256"].startswith("53aa5117")
    assert session.get_outputs()[0].shape == ["batch", 384]


def test_the_tokenizer_neither_cuts_nor_fills_up():
    settings = json.loads(askonce_models.path("tokenizer.json").read_text("utf-8"))
    assert settings["truncation"] is settings["padding"] is None


def test_the_card_names_every_file_and_the_licences_are_there():
    card = (MODELS / "MODEL_CARD.md").read_text("utf-8")
    assert [name for name in SUMS if name not in card] == []
    assert "Apache" in (MODELS / "LICENSES" / "Apache-2.0.txt").read_text("utf-8")
    assert "all-MiniLM-L6-v2" in (MODELS / "NOTICE").read_text("utf-8")
