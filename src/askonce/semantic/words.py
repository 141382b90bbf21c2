"""The closed lists of words that canonical text goes by (`words.toml`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Words:
    """Sets of words in lower case, each under the name that it has in `words.toml`."""

    begins_a_question: frozenset[str]
    small_words: frozenset[str]
    fresh: frozenset[str]
    relative: frozenset[str]
    periods: frozenset[str]
    pointing: frozenset[str]
    text_operations: frozenset[str]
    about_messages: frozenset[str]
    english: frozenset[str]
    not_after_contracted_is: frozenset[str]
    not_after_contracted_not: frozenset[str]
    verbs: frozenset[str]
    not_done_on_purpose: frozenset[str]
    not_wanted: frozenset[str]
    languages: frozenset[str]
    of_degree: frozenset[str]
    of_kind: frozenset[str]
    no_part_of_a_name: frozenset[str]
    superlatives: frozenset[str]
    amounts: frozenset[str]
    before_the_acronym: frozenset[str]
    short_acronyms: frozenset[str]
    heads: frozenset[str]
    kinds: frozenset[str]
    not_the_one_of: frozenset[str]
    also_names: frozenset[str]
    names: frozenset[str]
    abbreviations: frozenset[str]
    telling: frozenset[str]
    """All that may leave a text alone, to look at it once."""
    no_kind: frozenset[str]
    """All that does not stand in the name of a kind of thing."""


@cache
def shipped() -> Words:
    """Return the lists that come with askonce. They are read once, at the first question."""
    import tomllib
    from importlib.resources import files

    text = files("askonce.semantic").joinpath("words.toml").read_text("utf-8")
    lists = {name: frozenset(words.split()) for name, words in tomllib.loads(text).items()}
    lists["names"] = frozenset(map(str.lower, lists["names"]))
    telling = lists["text_operations"] | lists["pointing"] | lists["fresh"] | lists["relative"]
    no_kind = lists["also_names"] | lists["amounts"] | lists["superlatives"]
    return Words(**lists, telling=telling, no_kind=no_kind | lists["no_part_of_a_name"])
