"""The verifier as it is shipped: real weights, real ONNX Runtime."""

from __future__ import annotations

import builtins
from concurrent.futures import ThreadPoolExecutor

import pytest

from askonce.errors import ConfigError
from askonce.guards.vetoes import veto
from askonce.semantic import verifier as module
from askonce.semantic.verifier import Verifier

models = pytest.importorskip("askonce_models")
pytest.importorskip("onnxruntime")

SAME = [
    ("How do I learn Python?", "How can I learn Python?"),
    ("What is photosynthesis?", "Can you explain photosynthesis?"),
    ("What is the difference between a bond and a stock?", "How do bonds and stocks differ?"),
]
DIFFERENT = [
    ("How do I learn Python?", "How do I learn Java?"),
    ("Are cats afraid of tigers?", "Are tigers afraid of cats?"),
    ("How do I enable dark mode?", "How do I disable dark mode?"),
    ("What is the tax rate for 2023?", "What is the tax rate for 2024?"),
    ("How far is 5 km?", "How far is 6 km?"),
    ("What is the capital of France?", "What is the capital of Germany?"),
    ("How do I delete a branch?", "How do I delete a repo?"),
    ("Does Alice like Bob?", "Does Bob like Alice?"),
    ("What is photosynthesis?", "Who is the president of Brazil?"),
]


@pytest.fixture(scope="module")
def verifier():
    return Verifier()


def test_every_pair_with_one_answer_scores_above_every_pair_with_two(verifier):
    assert min(verifier.scores(SAME)) > max(verifier.scores(DIFFERENT))


def test_what_it_takes_for_the_same_and_is_not_a_guard_forbids(verifier):
    for pair in (
        ("Does Anna deserve Ben?", "Is Anna deserved by Ben?"),
        ("What is RAG?", "What is a rag?"),
    ):
        assert verifier.scores([pair])[0] > 0.9
        assert veto(*pair) is not None


def test_scores_are_from_0_to_1_and_one_for_each_pair(verifier):
    scores = verifier.scores(SAME + DIFFERENT)
    assert len(scores) == len(SAME + DIFFERENT)
    assert all(0.0 <= score <= 1.0 for score in scores)
    assert verifier.scores([]) == []


def test_the_order_within_a_pair_does_not_matter(verifier):
    turned = [(other, one) for one, other in SAME + DIFFERENT]
    assert verifier.scores(turned) == pytest.approx(verifier.scores(SAME + DIFFERENT), abs=1e-6)


def test_a_score_does_not_depend_on_what_is_asked_beside_it(verifier):
    assert verifier.scores(SAME + DIFFERENT) == [
        score for pair in SAME + DIFFERENT for score in verifier.scores([pair])
    ]


def test_many_threads_may_open_and_ask_one_verifier():
    fresh = Verifier()
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda pair: fresh.scores([pair])[0], SAME * 8))
    assert found == fresh.scores(SAME) * 8


def test_a_pair_too_long_to_be_read_whole_scores_0(verifier):
    question = "Why is " + "very " * 61 + "old?"
    assert verifier.scores([(question, question)]) == [0.0]
    assert verifier.scores([("a" * 20_000, "b")]) == [0.0]


def test_a_pair_that_just_fits_is_read(verifier):
    # 62 tokens each and three marks are 127.
    question = "Why is " + "very " * 58 + "old?"
    assert verifier.scores([(question, question)])[0] > 0.0


def test_a_word_that_the_model_cannot_read_scores_0(verifier):
    assert verifier.scores([("What is 𓀀𓀁?", "What is 𓀀𓀁?")]) == [0.0]


def test_an_empty_question_is_a_pair_like_any_other(verifier):
    assert 0.0 <= verifier.scores([("", "What is love?")])[0] < 0.5


def test_making_one_opens_nothing(tmp_path):
    absent = Verifier(weights=tmp_path / "absent.onnx")
    with pytest.raises(Exception, match=r"absent\.onnx"):
        absent.scores(SAME)


@pytest.mark.parametrize("missing", ["onnxruntime", "tokenizers", "askonce_models"])
def test_a_missing_package_is_named_with_its_remedy(missing, monkeypatch):
    importing = builtins.__import__

    def without(name, *rest):
        if name == missing:
            raise ImportError(name=missing)
        return importing(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"askonce\[semantic\]") as told:
        Verifier().scores(SAME)
    assert missing.replace("_", "-") in str(told.value).replace("_", "-")


def test_the_limit_that_is_stated_is_the_one_that_holds():
    assert module.MOST_TOKENS == 128
