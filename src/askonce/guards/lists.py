"""The closed lists of words that the guards go by (`lists.toml`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Lists:
    """Sets and maps of words in lower case, each under the name that it has in `lists.toml`."""

    function_words: frozenset[str]
    fillers: frozenset[str]
    synonyms: Mapping[str, frozenset[int]]
    """The groups a word is in, by their number."""
    opposites: Mapping[str, frozenset[str]]
    """Both ways."""
    symmetric: frozenset[str]
    negations: frozenset[str]
    formats: frozenset[str]
    audience_after_for: frozenset[str]
    units: Mapping[str, str]
    number_words: Mapping[str, str]
    magnitudes: Mapping[str, int]
    irregular: Mapping[str, str]
    participles: frozenset[str]
    asks_yes_or_no: frozenset[str]
    text_operations: frozenset[str]
    operations: frozenset[str]
    worked_upon: frozenset[str]
    fresh: frozenset[str]
    pointing: frozenset[str]
    confusable: Mapping[str, frozenset[str]]
    """Both ways."""
    places: frozenset[str]
    """Names that mean nothing else, of places and peoples for the most part."""
    languages: frozenset[str]


@cache
def shipped() -> Lists:
    """Return the lists that come with askonce. They are read once, at the first question."""
    import tomllib
    from importlib.resources import files

    from askonce.semantic import words

    told = tomllib.loads(files("askonce.guards").joinpath("lists.toml").read_text("utf-8"))
    sets = {
        name: frozenset(told[name].split())
        for name in Lists.__dataclass_fields__
        if isinstance(told.get(name), str)
    }
    maps = {name: _map(told[name]) for name in ("number_words", "magnitudes", "irregular")}
    known = words.shipped()
    return Lists(
        **{name: sets[name] for name in sets if name not in (*maps, "opposites", "confusable")},
        synonyms=_groups(told["synonyms"]),
        opposites=_both_ways(told["opposites"]),
        confusable=_both_ways(told["confusable"]),
        units={word: unit.split()[0] for unit in told["units"] for word in unit.split()},
        number_words=maps["number_words"],
        magnitudes={word: int(times) for word, times in maps["magnitudes"].items()},
        irregular=maps["irregular"],
        places=known.names,
        languages=known.languages,
    )


def _map(written: str) -> dict[str, str]:
    return dict(entry.split("=") for entry in written.split())


def _groups(lines: Iterable[str]) -> dict[str, frozenset[int]]:
    groups: defaultdict[str, set[int]] = defaultdict(set)
    for number, line in enumerate(lines):
        for word in line.split():
            groups[word].add(number)
            groups[singular(word)].add(number)
    return {word: frozenset(numbers) for word, numbers in groups.items()}


def _both_ways(written: str) -> dict[str, frozenset[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for entry in written.split():
        one, _, others = entry.partition("/")
        for other in others.split(","):
            for mine, theirs in ((one, other), (other, one)):
                found[mine].update((theirs, singular(theirs)))
                found[singular(mine)].update((theirs, singular(theirs)))
    return {word: frozenset(others) for word, others in found.items()}


def singular(word: str) -> str:
    """Return a word as its singular ends; "movie" becomes "movy", as "movies" does."""
    if len(word) < 4 or word[-1] != "s":
        return word[:-2] + "y" if len(word) > 4 and word.endswith("ie") else word  # movie, movies
    if word.endswith(("ss", "us", "is", "'s")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-1] if len(word) == 5 else word[:-3] + "y"  # ties, but studies
    if word.endswith(("sses", "xes", "ches", "shes", "zzes")):
        return word[:-2]
    return word[:-1]
