"""Some texts are matched only as they are written."""

from __future__ import annotations

import pytest

from askonce.guards.exactness import LONGEST, exact_only


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Fix this:\n```python\nprint(1)\n```", "code"),
        ("What does `x = 1` do?", "code"),
        ("def f(x): return x * 2", "code"),
        ("SELECT name FROM users WHERE (id = 1);", "code"),
        ("What does a => b mean in JavaScript?", "code"),
        ("Translate good morning into French", "text"),
        ("Is he is the best grammatical?", "text"),
        ("How do you spell necessary?", "text"),
        ("How many letters does strawberry count?", "text"),
        ("Count the words of a letter", "text"),
        ('What does "break a leg" mean?', "quoted"),
        ("What does \u201cbreak a leg\u201d mean?", "quoted"),
        ("What does 'break a leg' mean?", "quoted"),
        ("What is the weather in Paris?", "fresh"),
        ("Who is the president now?", "fresh"),
        ("What is the latest iPhone?", "fresh"),
        ("Who won last week?", "fresh"),
        ("Which films come out this year?", "fresh"),
        ("What does this mean?", "pointing"),
        ("Summarize the text above", "text"),
        ("Explain the above", "pointing"),
        ("Continue", "bare"),
        ("Why?", "bare"),
        ("another one", "bare"),
        ("", "bare"),
        ("Line one\nLine two", "lines"),
        ("word " * (LONGEST + 1), "long"),
    ],
)
def test_a_text_that_is_matched_as_written_says_why(text, reason):
    assert exact_only(text) == reason


@pytest.mark.parametrize(
    "text",
    [
        "What is the capital of France?",
        "How do I reset my password?",
        "My card has not arrived, what can I do?",
        "I have had a cough for a week. Is this normal?",
        "What's the difference between a lion's and a tiger's roar?",
        "How does numpy.argmax work?",
        "What is C++?",
        "Can you explain RAG in AI?",
        "What is an alarm clock for?",
    ],
)
def test_a_plain_question_is_not(text):
    assert exact_only(text) is None
