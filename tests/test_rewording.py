"""Near questions: verified aliases and direct hits, around the official client, with real models."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from openai import AsyncOpenAI, OpenAI

from askonce import Cache, ConfigError, Policy, Semantic
from askonce.embedders.function import Function
from askonce.indexes.memory import Memory
from askonce.model import Reason
from askonce.semantic.evidence import ACRONYM, AGREEMENT, CELLS, VERIFIER
from askonce.testing.fake_script import Reply

SAME = [
    "How do I reset my password?",
    "How can I reset my password?",
    "How do I change the password I forgot?",
    "What should I do to reset my password?",
    "How to reset my account password?",
    "I need to reset my password, how?",
]
OTHER = "How do I cancel my subscription?"


class Constant:
    """A judge with one opinion, which remembers what it was asked."""

    def __init__(self, opinion: bool | None) -> None:
        self.opinion = opinion
        self.asked: list[tuple[str, str]] = []

    def same(self, old, new):
        self.asked.append((old.question, new.question))
        return self.opinion


@pytest.fixture
def index() -> Memory:
    return Memory(384)


@pytest.fixture
def make(upstream, index, opened) -> Callable[..., tuple[Cache, OpenAI]]:
    """Make a cache and its wrapped client. Its evidence is its own alone."""

    def made(url: str = "memory://", **settings) -> tuple[Cache, OpenAI]:
        chosen = {"calibration": None, "audits": 0.0, "index": index, "timeout": 30.0}
        cache = opened(Cache(url, semantic=Semantic(**{**chosen, **settings}), strict=True))
        client = opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0))
        return cache, cache.wrap(client)

    return made


def ask(client: OpenAI, text: str, **more):
    messages = [{"role": "user", "content": text}]
    answer = client.chat.completions.create(
        model="gpt-4o", messages=messages, **{"temperature": 0, **more}
    )
    return answer.choices[0].message.content


def trusted(index: Memory) -> None:
    """Let the ledger say that the lane of agreement has been right ten thousand times."""
    index.ledger.add({f"{AGREEMENT}/{cell}/right": 200 for cell in range(CELLS)})


def settled(cache: Cache) -> None:
    cache.session.engine.rewording.drain()


@pytest.fixture
def one_answer(upstream) -> None:
    upstream.script = lambda request: Reply(
        text="To reset a password, use the link on the sign-in page."
    )


# Tier 2: verified aliases


def test_a_near_question_is_asked_live_and_judged_afterwards(make, upstream):
    judge = Constant(None)
    cache, client = make(judge=judge, direct=False)
    ask(client, SAME[0])
    ask(client, SAME[1])
    settled(cache)
    assert (upstream.calls, judge.asked) == (2, [(SAME[0], SAME[1])])
    ask(client, SAME[1])
    assert (cache.last.kind, cache.last.tier) == ("hit", "")


def test_what_is_judged_to_be_the_same_is_a_hit_on_the_older_answer_from_then_on(make, upstream):
    cache, client = make(judge=Constant(True), direct=False)
    first = ask(client, "What exactly are gift cards?")
    key = cache.last.key
    ask(client, "What is a gift card?")
    settled(cache)
    for _ in range(2):  # the second time by the alias of its arguments
        assert ask(client, "What is a gift card?") == first
        assert (cache.last.kind, cache.last.tier, cache.last.key) == ("hit", "verified", key)
    # Other wordings with the same canonical text follow.
    assert ask(client, "Can you tell me what a gift card is?") == first
    assert (cache.last.tier, upstream.calls) == ("canonical", 2)


def test_another_process_follows_a_verified_alias_at_first_sight(make, one_answer, tmp_path):
    url = f"sqlite:///{tmp_path}/answers.db"
    cache, client = make(url, direct=False)
    first = ask(client, SAME[0])
    key = cache.last.key
    ask(client, SAME[1])
    settled(cache)
    cache.close()
    again, client = make(url, direct=False)
    assert ask(client, SAME[1]) == first
    assert (again.last.tier, again.last.key) == ("verified", key)


def test_what_is_judged_to_differ_keeps_an_answer_of_its_own(make, upstream):
    cache, client = make(judge=Constant(False), direct=False)
    first = ask(client, SAME[0])
    second = ask(client, SAME[1])
    settled(cache)
    assert ask(client, SAME[1]) == second != first
    assert upstream.calls == 2


def test_a_judge_that_fails_says_no(make, upstream, caplog):
    class Broken:
        def same(self, old, new):
            raise RuntimeError("no model")

    cache, client = make(judge=Broken(), direct=False)
    ask(client, SAME[0])
    second = ask(client, SAME[1])
    settled(cache)
    assert ask(client, SAME[1]) == second
    assert "RuntimeError: no model" in caplog.text


def test_without_a_judge_equal_answers_make_an_alias(make, upstream, one_answer):
    cache, client = make(direct=False)
    ask(client, SAME[0])
    key = cache.last.key
    ask(client, SAME[1])
    settled(cache)
    ask(client, SAME[1])
    assert (cache.last.tier, cache.last.key) == ("verified", key)


def test_where_a_guard_tells_questions_apart_the_judge_must_say_yes_twice(make, upstream):
    class Hasty:
        def __init__(self):
            self.verdicts = iter((True, False))

        def same(self, old, new):
            return next(self.verdicts)

    cache, client = make(judge=Hasty(), direct=False)
    for year in (2023, 2024):
        ask(client, f"What happened in AI in {year}?")
    settled(cache)
    assert ask(client, "What happened in AI in 2024?") == "Answer to: What happened in AI in 2024?"


def test_without_a_judge_equal_refusals_make_no_alias(make, upstream):
    upstream.script = lambda _: Reply(text="I am sorry, but I do not know that.")
    cache, client = make(direct=False)
    ask(client, SAME[0])
    ask(client, SAME[1])
    settled(cache)
    ask(client, SAME[1])
    assert (cache.last.kind, cache.last.tier) == ("hit", "")


def test_an_answer_that_was_asked_anew_meanwhile_stays(make, upstream):
    import threading

    waiting, judged = threading.Event(), threading.Event()

    class Slow:
        def same(self, old, new):
            waiting.set()
            judged.wait(20)
            return True

    cache, client = make(judge=Slow(), direct=False)
    ask(client, SAME[0])
    ask(client, SAME[1])
    waiting.wait(20)
    cache.session.engine.clock = lambda: 10**10
    upstream.script = lambda _: Reply(text="A newer answer.")
    with cache.using(refresh=True):
        ask(client, SAME[1])
    judged.set()
    settled(cache)
    assert ask(client, SAME[1]) == "A newer answer."


def test_an_alias_is_dead_when_its_answer_is_forgotten(make, upstream):
    cache, client = make(judge=Constant(True), direct=False)
    ask(client, SAME[0])
    older = cache.last
    ask(client, SAME[1])
    settled(cache)
    cache.forget(older)
    ask(client, SAME[1])
    assert (cache.last.kind, upstream.calls) == ("miss", 3)


def test_an_alias_is_not_served_where_its_answer_may_not_be(make, upstream):
    cache, client = make(judge=Constant(True), direct=False)
    ask(client, SAME[0])
    with cache.using(tags=["doc:1"]):
        ask(client, SAME[1])
        settled(cache)
        ask(client, SAME[1])
        assert (cache.last.kind, cache.last.tier) == ("hit", "")
    assert upstream.calls == 2


# Tier 3: direct hits


def test_nothing_is_served_by_likeness_before_there_is_evidence(make, upstream, one_answer):
    cache, client = make()
    for text in SAME:
        ask(client, text)
        settled(cache)
        assert cache.last.kind == "miss"
    assert upstream.calls == len(SAME)


def test_with_evidence_what_the_nearest_agree_on_is_served(make, index, upstream, one_answer):
    trusted(index)
    cache, client = make()
    for text in SAME[:5]:
        ask(client, text)
        settled(cache)
    before = upstream.calls
    ask(client, SAME[5])
    last = cache.last
    assert (last.kind, last.tier, last.lane) == ("hit", "direct", AGREEMENT)
    assert (last.matched in SAME, upstream.calls) == (True, before)
    assert 0.5 < last.similarity < 1
    assert 0 < last.bound <= 0.01
    assert cache.stats().reworded >= 1


def test_where_the_entry_is_gone_it_is_a_plain_miss(make, index, upstream, one_answer):
    trusted(index)
    cache, client = make(audits=0.0)
    for text in SAME[:5]:
        ask(client, text)
        settled(cache)
    ask(client, SAME[5])
    assert cache.last.tier == "direct"
    cache.forget(cache.last.key)
    before = upstream.calls
    ask(client, f"Please, {SAME[5]}")
    last = cache.last
    assert (last.kind, last.lane, last.withheld, upstream.calls) == ("miss", "", "", before + 1)


def test_the_shipped_counts_hold_for_the_shipped_embedder_alone(make):
    def shipped(**settings):
        cache, _ = make(calibration="shipped", **settings)
        return cache.session.engine.rewording._search.parts.shipped

    other = Function(lambda texts: [[1.0, 0.0] for _ in texts], name="other", dimension=2)
    assert shipped()
    assert shipped(embedder=other, index="memory://") == {}


def test_an_audited_hit_is_asked_live_and_counted(make, index, upstream, one_answer):
    trusted(index)
    cache, client = make(audits=1.0, judge=Constant(True))
    for text in SAME:
        ask(client, text)
        settled(cache)
    assert upstream.calls == len(SAME)
    assert (cache.last.kind, cache.last.withheld, cache.last.lane) == ("miss", "audit", AGREEMENT)
    counts = index.ledger.read()
    assert sum(n for name, n in counts.items() if name.endswith("right")) > 200 * CELLS


def test_one_confirmed_wrong_hit_bars_the_wording_that_led_to_it(make, index, upstream):
    trusted(index)
    judge = Constant(True)
    cache, client = make(audits=1.0, judge=judge)
    for text in SAME[:5]:
        ask(client, text)
        settled(cache)
    judge.opinion = False
    ask(client, SAME[5])
    matched = cache.last.matched
    settled(cache)
    barred = [it.text for it in index.scan() if it.barred]
    assert barred == [matched]
    assert sum(n for name, n in index.ledger.read().items() if name.endswith("wrong")) == 1


def test_a_wrong_hit_counts_only_if_the_judge_says_so_twice(make, index):
    class Unsure:
        def __init__(self):
            self.times = 0

        def same(self, old, new):
            self.times += 1
            return None if self.times % 2 == 0 else False

    cache, client = make(judge=Unsure())
    ask(client, SAME[0])
    ask(client, SAME[1])
    settled(cache)
    assert index.ledger.read() == {}


def test_in_shadow_nothing_is_served_and_all_is_told(make, index, upstream, one_answer, tmp_path):
    trusted(index)
    cache, client = make(shadow=True, log=tmp_path / "log.jsonl")
    for text in SAME:
        ask(client, text)
        settled(cache)
    assert upstream.calls == len(SAME)
    assert (cache.last.kind, cache.last.withheld, cache.last.matched != "") == (
        "miss",
        "shadow",
        True,
    )
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"lane", "score", "right", "old", "new"} <= lines[-1].keys()
    assert (lines[-1]["new"], lines[-1]["right"]) == (SAME[-1], True)


def test_another_tenant_and_another_model_are_never_served(make, index, one_answer):
    trusted(index)
    cache, client = make()
    for text in SAME[:5]:
        ask(client, text)
        settled(cache)
    with cache.using(tenant="other"):
        ask(client, SAME[5])
        assert cache.last.kind == "miss"
    ask(client, SAME[5], max_tokens=5)
    assert cache.last.kind == "miss"


def test_a_lookup_that_takes_too_long_is_a_miss(make, upstream, caplog):
    import threading

    gate, begun = threading.Event(), []

    class Slow:
        name, dimension = "slow", 384

        def embed(self, texts):
            import numpy

            if begun:
                gate.wait(20)
            return numpy.eye(len(texts), 384, dtype="float32")

    cache, client = make(embedder=Slow(), timeout=0.01)
    ask(client, SAME[0])
    begun.append(True)
    ask(client, OTHER)
    gate.set()
    assert (cache.last.kind, upstream.calls) == ("miss", 2)
    assert "TimeoutError" in caplog.text


def test_an_index_that_fails_costs_nothing_but_the_hit(make, index, upstream, caplog):
    cache, client = make()
    ask(client, SAME[0])
    index.close()
    ask(client, SAME[1])
    ask(client, SAME[1])
    assert (cache.last.kind, upstream.calls) == ("hit", 2)
    assert "so it was a miss" in caplog.text


def test_tasks_are_served_as_threads_are(index, upstream, one_answer):
    trusted(index)
    settings = Semantic(calibration=None, audits=0.0, index=index, timeout=30.0)

    async def main():
        cache = Cache("memory://", semantic=settings, strict=True)
        async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k") as made:
            client = cache.wrap(made)
            for text in SAME:
                await client.chat.completions.create(
                    model="gpt-4o", temperature=0, messages=[{"role": "user", "content": text}]
                )
                settled(cache)
        last = cache.last
        await cache.aclose()
        return last

    last = asyncio.run(main())
    assert (last.kind, last.lane) == ("hit", AGREEMENT)


def test_wordings_are_found_again_by_another_process(make, url, upstream, one_answer, opened):
    settings = {"index": None, "direct": False, "judge": Constant(True)}
    cache, client = make(url, **settings)
    ask(client, SAME[0])
    settled(cache)
    cache.close()
    other, client = make(url, **settings)
    ask(client, SAME[1])
    settled(other)
    ask(client, SAME[1])
    assert (other.last.tier, upstream.calls) == ("verified", 2)


# What stands around a question, and what it is about


DOCUMENT = "The contract begins in March and ends in May. " * 20


def test_a_question_about_a_long_text_may_be_reworded_but_not_the_text(make):
    judge = Constant(True)
    cache, client = make(judge=judge, direct=False)
    ask(client, f"{DOCUMENT}\n\nWhen does the contract begin?")
    ask(client, f"{DOCUMENT}\n\nWhen is the beginning of the contract?")
    settled(cache)
    assert len(judge.asked) == 1
    ask(client, f"{DOCUMENT.upper()}\n\nWhen is the contract's beginning?")
    settled(cache)
    assert len(judge.asked) == 1


# Settings


@pytest.mark.parametrize(
    "settings",
    [
        {"max_error": 0},
        {"max_error": 1.0},
        {"max_error": "1%"},
        {"audits": -0.1},
        {"timeout": 0},
        {"calibration": "mine"},
        {"verified": False},
    ],
)
def test_a_wrong_setting_is_an_error_that_names_it(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Semantic(**settings)


def test_an_index_that_is_none_is_an_error_at_once():
    with pytest.raises(ConfigError, match="http://host' is not the URL of an index"):
        Cache("memory://", semantic=Semantic(index="http://host"))


def test_secrets_and_an_index_in_the_clear_exclude_each_other():
    with pytest.raises(ConfigError, match="in the clear"):
        Cache("sqlite:////nowhere/none.db", semantic=True, secrets=b"s" * 32)
    Cache("memory://", semantic=Semantic(index="memory://"), secrets=b"s" * 32).close()


# What is asked anew


@pytest.mark.parametrize("how", ["forgotten", "invalidated", "too old"])
def test_an_answer_that_was_asked_anew_is_served_again(make, upstream, index, how):
    cache, client = make(judge=Constant(True))
    asked = {"forgotten": {}, "invalidated": {"tags": ["doc"]}, "too old": {}}[how]
    with cache.using(**asked):
        ask(client, SAME[0])
        settled(cache)
        if how == "too old":
            with cache.using(max_age=1e-9):
                ask(client, SAME[0])
        else:
            cache.forget(cache.last) if how == "forgotten" else cache.invalidate(tag="doc")
            ask(client, SAME[0])
        settled(cache)
        ask(client, SAME[0])
    assert (cache.last.kind, upstream.calls) == ("hit", 2)
    assert index.ledger.read() == {}, "an answer is the same as itself: no evidence"


def test_a_barred_wording_that_is_asked_anew_stays_barred(make, index, one_answer):
    trusted(index)
    judge = Constant(True)
    cache, client = make(judge=judge, audits=1.0)
    for text in SAME[:4]:
        ask(client, text)
        settled(cache)
    judge.opinion = False
    ask(client, SAME[5])
    settled(cache)
    barred = {wording.text for wording in index.scan() if wording.barred}
    assert len(barred) == 1
    with cache.using(refresh=True):
        ask(client, *barred)
    settled(cache)
    assert {wording.text for wording in index.scan() if wording.barred} == barred


def test_who_wants_no_other_wording_is_served_none(make, upstream, one_answer, tmp_path, opened):
    url = f"sqlite:///{tmp_path}/answers.db"
    cache, client = make(url, direct=False)
    ask(client, SAME[0])
    ask(client, SAME[1])
    settled(cache)
    with cache.using(policy=Policy(semantic=False)):
        ask(client, SAME[1])
    assert (cache.last.kind, upstream.calls) == ("miss", 3)
    without = opened(Cache(url))
    again = without.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")))
    ask(again, SAME[1])
    assert (without.last.kind, without.last.tier) == ("hit", ""), "its own answer, asked above"


def test_a_hit_that_may_not_be_served_to_one_call_is_no_evidence(make, index, one_answer):
    trusted(index)
    judge = Constant(True)
    cache, client = make(judge=judge)
    for text in SAME[:4]:
        ask(client, text)
        settled(cache)
    assert cache.last.lane == AGREEMENT
    judge.opinion, before = False, dict(index.ledger.read())
    with cache.using(max_age=1e-9):
        ask(client, SAME[5])
    settled(cache)
    assert index.ledger.read() == before
    assert not any(wording.barred for wording in index.scan())


def test_what_can_only_come_from_the_cache_is_not_audited(make, index, one_answer):
    trusted(index)
    cache, client = make(judge=Constant(True), audits=1.0)
    for text in SAME[:4]:
        ask(client, text)
        settled(cache)
    with cache.using(only_if_cached=True):
        ask(client, SAME[5])
    assert (cache.last.kind, cache.last.lane) == ("hit", AGREEMENT)


# Evidence


def test_without_a_judge_that_can_say_no_nothing_counts_as_right(make, index, one_answer):
    cache, client = make()
    for text in SAME:
        ask(client, text)
        settled(cache)
    assert not any(name.endswith("right") for name in index.ledger.read())


@pytest.mark.parametrize("opinion", ["NO", "yes", 1, [False]])
def test_a_judge_that_says_neither_true_nor_false_says_nothing(make, index, upstream, opinion):
    cache, client = make(judge=Constant(opinion))
    ask(client, SAME[0])
    second = ask(client, SAME[1])
    settled(cache)
    assert ask(client, SAME[1]) == second
    assert index.ledger.read() == {}


def test_what_all_lanes_offered_is_judged_even_if_a_nearer_wording_is_the_same(make, index):
    judge = Constant(None)
    cache, client = make(judge=judge)
    # A guard forbids the nearer one; the verifier's lane would have served the other.
    vetoed, offered = "How should I not change my password?", "How can I change my password?"
    for text in (vetoed, offered):
        ask(client, text)
    settled(cache)
    judge.asked.clear()
    judge.opinion = True
    ask(client, "How should I change my password?")
    settled(cache)
    judged = {old for old, _ in judge.asked}
    counted = {name.partition("/")[0] for name in index.ledger.read()}
    assert judged >= {offered}
    assert counted == {VERIFIER}


def test_what_was_counted_of_another_embedder_opens_nothing(make, index):
    trusted(index)
    embedder = Function(lambda texts: [[1.0, 0.0]] * len(texts), name="one", dimension=2)
    cache, client = make(embedder=embedder)
    search = cache.session.engine.rewording._search
    assert isinstance(search.openings()[AGREEMENT], Reason)


def test_a_log_that_cannot_be_written_keeps_nothing_from_being_learnt(
    make, one_answer, tmp_path, caplog
):
    cache, client = make(direct=False, log=tmp_path / "nowhere" / "judged.jsonl")
    ask(client, SAME[0])
    ask(client, SAME[1])
    settled(cache)
    ask(client, SAME[1])
    assert cache.last.tier == "verified"
    assert "could not write the log: FileNotFoundError" in caplog.text


# Acronyms

DEFINED = "What is Retrieval-Augmented Generation?"
BY_ACRONYM = ["Can you explain RAG in AI?", "What is RAG in AI?", "Describe RAG in AI"]


@pytest.fixture
def definition(upstream) -> None:
    upstream.script = lambda _: Reply(
        text="Retrieval-Augmented Generation (RAG) is an AI technique that lets language models "
        "look up passages in documents before they answer."
    )


def acronyms_counted(index: Memory) -> dict[str, int]:
    return {name: count for name, count in index.ledger.read().items() if name.startswith(ACRONYM)}


def test_hits_by_an_acronym_are_audited_but_the_first_of_a_process(
    make, upstream, index, definition
):
    cache, client = make(judge=Constant(True), audits=1.0)
    ask(client, DEFINED)
    ask(client, BY_ACRONYM[0])
    assert (cache.last.kind, cache.last.lane, cache.last.bound) == ("hit", ACRONYM, 1.0)
    for count, text in enumerate(BY_ACRONYM[1:], 1):
        ask(client, text)
        assert (cache.last.kind, cache.last.withheld, cache.last.lane) == ("miss", "audit", ACRONYM)
        settled(cache)
        assert acronyms_counted(index) == {f"{ACRONYM}/{CELLS - 1}/right": count}
        ask(client, text)
        assert (cache.last.kind, cache.last.tier) == ("hit", "verified")


def test_an_acronym_that_led_to_a_wrong_answer_leads_there_no_more(
    make, upstream, index, definition
):
    judge = Constant(False)
    cache, client = make(judge=judge, audits=1.0, max_error=0.9)
    ask(client, DEFINED)
    ask(client, BY_ACRONYM[0])
    ask(client, BY_ACRONYM[1])
    settled(cache)
    assert acronyms_counted(index) == {f"{ACRONYM}/{CELLS - 1}/wrong": 1}
    judge.opinion = None
    ask(client, BY_ACRONYM[2])
    assert (cache.last.kind, cache.last.withheld) == ("miss", "")


def test_audits_that_contradict_the_bound_close_the_way_by_acronyms_until_others_reopen_it(
    make, upstream, index, definition
):
    index.ledger.add({f"{ACRONYM}/{CELLS - 1}/wrong": 2})
    cache, client = make(judge=Constant(True))
    ask(client, DEFINED)
    ask(client, BY_ACRONYM[0])
    assert (cache.last.kind, cache.last.withheld) == ("miss", "")
    settled(cache)
    assert acronyms_counted(index)[f"{ACRONYM}/{CELLS - 1}/right"] == 1
    index.ledger.add({f"{ACRONYM}/{CELLS - 1}/right": 1000})
    cache.session.engine.rewording._search._read = float("-inf")
    ask(client, BY_ACRONYM[1])
    assert (cache.last.kind, cache.last.lane) == ("hit", ACRONYM)


def test_in_the_shadow_an_acronym_is_looked_up_and_not_served(make, upstream, definition):
    cache, client = make(shadow=True)
    ask(client, DEFINED)
    ask(client, BY_ACRONYM[0])
    assert (cache.last.kind, cache.last.withheld, cache.last.lane) == ("miss", "shadow", ACRONYM)


def test_an_answer_asked_anew_leaves_the_acronym_where_it_was(make, upstream, definition):
    cache, client = make(judge=Constant(None))
    ask(client, DEFINED)
    with cache.using(refresh=True):
        ask(client, "Describe Retrieval-Augmented Generation")
    ask(client, BY_ACRONYM[0])
    assert (cache.last.kind, cache.last.lane) == ("hit", ACRONYM)


# What fails again and again


def test_an_embedder_that_fails_each_time_is_left_alone_for_a_second(make, upstream, caplog):
    asked = []

    def embed(texts):
        asked.append(texts)
        raise RuntimeError("no model")

    embedder = Function(embed, name="broken", dimension=2)
    cache, client = make(embedder=embedder, index=Memory(2), direct=False)
    for number in range(40):
        ask(client, f"How do I reset password number {number}?")
        assert cache.last.kind == "miss"
    # Three in a row, then one a second; each call asks for two vectors.
    assert 3 <= len(asked) < 40
    assert "so it was a miss: could not look for near questions: RuntimeError" in caplog.text


def test_an_opening_that_fails_is_not_tried_by_each_call(make, upstream):
    tries = []

    class Unreachable:
        name = "unreachable"

        @property
        def dimension(self):
            tries.append(1)
            raise RuntimeError("no server")

        def embed(self, texts):
            raise AssertionError

    cache, client = make(embedder=Unreachable(), index=None, direct=False)
    for number in range(5):
        ask(client, f"How do I reset password number {number}?")
    assert (len(tries), upstream.calls) == (1, 5)


def test_an_embedder_that_raises_what_is_no_exception_fails_no_call(make, upstream):
    def leave(texts):
        raise SystemExit

    embedder = Function(leave, name="leaving", dimension=2)
    cache, client = make(embedder=embedder, index=Memory(2), direct=False)
    ask(client, SAME[0])
    assert cache.last.kind == "miss"


def test_a_cache_that_is_closed_leaves_an_index_of_ones_own_open(make, index, one_answer):
    cache, client = make(direct=False)
    ask(client, SAME[0])
    cache.close()
    assert [wording.text for wording in index.scan()] == [SAME[0]]


@pytest.mark.parametrize(
    "text",
    [
        "What is RAG , thanks",
        ", please",
        "What is " + "aaaaaaaaaa " * 12 + "(" + "a" * 50 + "b)?",
        "f(x " * 100_000,
        "\n" * 100_000 + "Why?",
    ],
    ids=["comma", "nothing", "long acronym", "calls", "lines"],
)
def test_an_odd_text_is_asked_like_any_other(make, upstream, text):
    cache, client = make(judge=Constant(None))
    ask(client, text)
    assert (cache.last.kind, upstream.calls) == ("miss", 1)


HANGING = """
import sys, threading
from openai import OpenAI
from askonce import Cache, Semantic
from askonce.embedders.function import Function
from askonce.indexes.memory import Memory

def hang(*_):
    sys.stdout.write("hangs\\n")
    threading.Event().wait()

class Hanging:
    same = hang

embedder = Function(lambda texts: [[1.0, 0.0]] * len(texts), name="one", dimension=2)
if sys.argv[2] == "embedder":
    embedder = Function(hang, name="hanging", dimension=2)
cache = Cache("memory://", semantic=Semantic(
    judge=Hanging(), embedder=embedder, index=Memory(2), direct=False, timeout=0.05))
client = cache.wrap(OpenAI(base_url=sys.argv[1], api_key="k", max_retries=0))
for text in ("How do I reset my password?", "How can I reset my password?", "How to reset it?"):
    client.chat.completions.create(
        model="gpt-4o", temperature=0, messages=[{"role": "user", "content": text}])
sys.stdout.write("done\\n")
"""


@pytest.mark.parametrize("part", ["judge", "embedder"])
def test_a_program_ends_although_a_part_hangs(upstream, part):
    done = subprocess.run(
        [sys.executable, "-c", HANGING, f"{upstream.url}/v1", part],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, set(done.stdout.split())) == (0, {"hangs", "done"}), done.stderr
