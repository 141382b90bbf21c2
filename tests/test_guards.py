"""Minimal pairs: one difference that changes the answer is a veto, and dress is none."""

from __future__ import annotations

import random
import string

import pytest

from askonce.guards.vetoes import GUARDS, WORDINGS, contradiction, fired, veto

APART = [
    ("What is RAG?", "What is a rag?", "case"),
    ("Who are the US?", "Who are us?", "case"),
    ("Is Google Glass a flop?", "Will Google Glass flop?", "mode"),
    ("Who should be the next DNC chair?", "Who will be the next DNC chair?", "mode"),
    # the issue's own list
    ("Who won the cup in 2023?", "Who won the cup in 2024?", "number"),
    ("How do I enable dark mode?", "How do I disable dark mode?", "opposite"),
    ("Does Alice like Bob?", "Does Bob like Alice?", "order"),
    ("Are cats afraid of tigers?", "Are tigers afraid of cats?", "order"),
    ("What is the capital of France?", "What is the capital of Germany?", "name"),
    ("How long does it take to run 5 km?", "How long does it take to run 6 km?", "number"),
    ("How do I delete a branch?", "How do I delete a repo?", "opposite"),
    (
        "Can a jaguar kill a lion or a cheetah?",
        "Can a jaguar kill a cheetah or a leopard?",
        "choice_of",
    ),
    ("What are proteins?", "What are proteins and what do they do?", "more"),
    ("What are the types of energy?", "What are the types of energy? How are they used?", "more"),
    ("What are the benefits of tea?", "What are the benefits and consequences of tea?", "more"),
    # numbers and units
    ("What is .5 in binary?", "What is 5 in binary?", "number"),
    ("What is -5 in binary?", "What is 5 in binary?", "number"),
    ("What is type 1 diabetes?", "What is type 2 diabetes?", "number"),
    ("What is Type I diabetes?", "What is Type II diabetes?", "number"),
    ("How far is 5 km?", "How far is 5 miles?", "number"),
    ("What can I buy for $100?", "What can I buy for €100?", "number"),
    ("Is 5 % a good return?", "Is 15 % a good return?", "number"),
    ("What is new in Python 3.11?", "What is new in Python 3.12?", "number"),
    ("Can I drink two glasses of wine?", "Can I drink three glasses of wine?", "number"),
    ("What was World War I about?", "What was World War II about?", "number_more"),
    ("How do I treat a cough?", "How do I treat a cough in a child of 2?", "number_more"),
    # names, identifiers, scripts
    ("what is the capital of france", "what is the capital of germany", "name"),
    ("Is Christian Mitchell an atheist?", "Is Christina Mitchell an atheist?", "name"),
    ("How do I learn Java?", "How do I learn Kotlin?", "name"),
    ("How do I become a nurse?", "How do I become a nurse in Canada?", "name_more"),
    ("What is C?", "What is C++?", "exact"),
    ("What does sys.argv hold?", "What does sys.path hold?", "exact"),
    ("What does -v do in tar?", "What does -x do in tar?", "exact"),
    ("What is in /etc/passwd on Linux?", "What is in /etc/shadow on Linux?", "exact"),
    ("What does 学 mean?", "What does 字 mean?", "script"),
    # polarity
    ("Is it safe to swim?", "Is it not safe to swim?", "negation"),
    ("Why do cats purr?", "Why don't cats purr?", "negation"),
    ("Can I fly with a passport?", "Can I fly without a passport?", "small_opposite"),
    ("How can I become more patient?", "How can I become less patient?", "small_opposite"),
    ("Is it okay to eat before a workout?", "Is it okay to eat after a workout?", "opposite"),
    ("How do I turn the light on?", "How do I turn the light off?", "small_opposite"),
    ("How do I buy shares?", "How do I sell shares?", "opposite"),
    ("How do I import a module?", "How do I export a module?", "opposite"),
    ("What is the maximum dose?", "What is the minimum dose?", "opposite"),
    ("What is a Roth IRA?", "What is a traditional IRA?", "opposite"),
    ("What is a call option?", "What is a put option?", "opposite"),
    ("What is a market order?", "What is a limit order?", "opposite"),
    ("What is hypertension?", "What is hypotension?", "opposite"),
    ("What are the pros and cons of solar?", "What are the cons of solar?", "one_of_two"),
    ("How was life before and after the war?", "How was life before the war?", "one_of_two"),
    ("What are the best and worst films?", "What are the worst films?", "one_of_two"),
    ("Should I marry him?", "Should I marry her?", "small_opposite"),
    ("What is my name?", "What is your name?", "person"),
    # roles
    ("What if India nukes Pakistan?", "What if Pakistan nukes India?", "order"),
    ("what if india nukes pakistan", "what if pakistan nukes india", "order"),
    ("How do I convert PDF to Word?", "How do I convert Word to PDF?", "order"),
    ("Does John deserve Mary?", "Is John deserved by Mary?", "agent"),
    ("Did Amber find the land?", "Was Amber found by the land?", "agent"),
    ("Did Paul Brown sue Ben Smith?", "Did Ben Smith sue Paul Brown?", "order"),
    # what is asked
    ("Can I become a boxer?", "How can I become a boxer?", "yes_or_no"),
    ("Why is the sky blue?", "How is the sky blue?", "question"),
    ("When was the wheel invented?", "Where was the wheel invented?", "question"),
    ("How many cells die?", "How do cells die?", "question"),
    # form, time, kind, word
    ("Explain photosynthesis", "Explain photosynthesis in one sentence", "form"),
    ("Explain photosynthesis", "Explain photosynthesis to a child", "form"),
    ("Explain photosynthesis", "Explain photosynthesis step by step", "form"),
    ("Explain photosynthesis", "Explain photosynthesis in French", "form"),
    ("Show the planets as a list", "Show the planets as a table", "form"),
    ("Is Nicole an investor?", "Did Nicole use to be an investor?", "used_to"),
    ("How did you react when it was gone?", "How would you react when it was gone?", "what_if"),
    ("Who was the king?", "Who will be the king?", "tense"),
    ("Who won the 2016 cup?", "Who will win the 2016 cup?", "tense"),
    ("Will humans go extinct?", "What will happen if humans go extinct?", "yes_or_no"),
    ("Is Ann an actor or a writer?", "Is Ann simultaneously an actor and a writer?", "choice"),
    ("Is Noah a friend?", "Is Noah a fake friend?", "kind"),
    ("Can I feed my dog chocolate?", "Can I feed my cow chocolate?", "word"),
    ("How do I open a savings account?", "How do I open a brokerage account?", "word"),
]

ALIKE = [
    ("What is machine learning?", "Explain machine learning, please."),
    ("How can I lose weight?", "How do I reduce weight?"),
    ("How do I learn to code?", "How can I learn coding?"),
    ("What is the best way to learn Java?", "How do I learn Java?"),
    ("Does Aaron attack Jeffrey?", "Is Jeffrey attacked by Aaron?"),
    ("Did Natalie own the gun?", "Was the gun owned by Natalie?"),
    (
        "What is the difference between cats and dogs?",
        "What is the difference between dogs and cats?",
    ),
    ("Did Ann marry Ben?", "Did Ben marry Ann?"),
    ("In India, how do I get a passport?", "How do I get a passport in India?"),
    ("What is the population of India?", "What is India's population?"),
    ("Is that cat on the couch?", "Is that cat actually on the couch?"),
    ("How much is 2,000 dollars?", "How much is $2000?"),
    ("How do I train for 5 km?", "How do I train for five kilometers?"),
    ("What is ML?", "What is Machine Learning?"),
    ("Who is better, Ann or Ben?", "Who is better, Ben or Ann?"),
    ("How do I start a business with no money?", "How do I start a business without money?"),
    ("Why is my wifi slow?", "What makes my wifi slow?"),
    ("Isn't it too late?", "Is it too late?"),
    ("What are the best romance movies?", "What are the best romance films?"),
    ("Are tachyons real?", "Are tachyons real or not?"),
    ("What is the population of the USA?", "What's the population of the usa?"),
    ("How shall I prepare for it?", "How should I prepare for it?"),
]


@pytest.mark.parametrize(("one", "other", "guard"), APART)
def test_what_changes_the_answer_is_a_veto(one, other, guard):
    assert guard in fired(one, other)


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_what_asks_the_same_is_none(one, other):
    assert fired(one, other) == []


@pytest.mark.parametrize(("one", "other", "_"), APART)
def test_a_veto_does_not_depend_on_which_text_is_the_old_one(one, other, _):
    assert veto(one, other) is not None
    assert veto(other, one) is not None


def test_equal_texts_are_never_apart():
    assert veto("Is 5 more than 4?", "Is 5 more than 4?") is None


def test_the_guard_that_fired_is_named():
    names = [name for name, _ in GUARDS]
    assert len(set(names)) == len(names)
    assert veto("Who won in 2023?", "Who won in 2024?") == "number"


def test_another_word_is_no_contradiction_of_what_was_judged_the_same():
    assert {*WORDINGS} < {name for name, _ in GUARDS}
    pair = ("My card has not arrived", "My parcel has not arrived")
    assert veto(*pair) == "word"
    assert contradiction(*pair) is None
    assert contradiction("My card ending in 12 is lost", "My card ending in 13 is lost") == "number"
    assert contradiction("Is it safe?", "Is it safe?") is None


def test_a_story_told_in_other_words_may_give_other_numbers():
    one = (
        "My toddler has had a fever since the morning, he is around 103 and it peaked at 103.7 an "
        "hour before I gave him something. When should I take him to see the doctor?"
    )
    other = (
        "A 3 year old child is hot for a day, the thermometer shows 103 most of the time, and he "
        "sleeps a lot. Is this a reason to call the pediatrician, or can it wait for a while?"
    )
    assert "number" not in fired(one, other)


def test_any_text_is_read_without_an_error():
    chance = random.Random(20)
    signs = string.printable + "\u2019\u201cé学€°\u0130\u00df"
    for _ in range(2000):
        one, other = ("".join(chance.choices(signs, k=chance.randrange(60))) for _ in range(2))
        assert (veto(one, other) is None) == (veto(other, one) is None)
        fired(one, other)


def test_words_in_any_order_are_read_without_an_error():
    chance = random.Random(21)
    known = [word for pair in APART + ALIKE for text in pair[:2] for word in text.split()]
    for _ in range(2000):
        one, other = (" ".join(chance.choices(known, k=chance.randrange(12))) for _ in range(2))
        assert isinstance(fired(one, other), list)
