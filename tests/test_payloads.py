"""A long text is about something: the instruction may be reworded, the rest must be equal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.semantic.payloads import SHORT, divide

DOCUMENT = "The contract begins in March. " * 20


def test_a_short_text_is_all_instruction():
    assert divide("What is RAG?\n\nReally?").instruction == "What is RAG?\n\nReally?"


def test_a_question_behind_a_document_is_the_instruction():
    found = divide(f"Use this.\n\n{DOCUMENT}\n\nWhen does it begin?")
    assert found.instruction == "When does it begin?"
    assert found.before == f"Use this.\n\n{DOCUMENT}\n\n"


def test_a_line_with_a_colon_before_a_document_is_the_instruction():
    found = divide(f"Summarise this contract:\n\n{DOCUMENT}")
    assert (found.instruction, found.behind) == ("Summarise this contract:", f"\n\n{DOCUMENT}")


@pytest.mark.parametrize(
    "text",
    [
        DOCUMENT,
        f"{DOCUMENT}\n\nSigned by Alice.",
        f"A title\n\n{DOCUMENT}",
        f"{DOCUMENT}\n\n{'why ' * SHORT}?",
    ],
    ids=["one paragraph", "a last line", "a first line", "a long question"],
)
def test_where_nothing_asks_the_whole_text_is_the_instruction(text):
    assert divide(text).instruction == text


@given(st.text(alphabet="ab?:\n ", max_size=900))
def test_nothing_is_lost(text):
    found = divide(text)
    assert found.before + found.instruction + found.behind == text
