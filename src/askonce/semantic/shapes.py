"""One wording for the ways to ask the same, and no articles that say nothing."""

from __future__ import annotations

from askonce.semantic.wording import EXPLAIN, WH
from askonce.semantic.words import Words

_COPULAS = frozenset(["is", "are", "was", "were"])
_ASKS_FOR_A_WAY = frozenset(
    [("do", "I"), ("can", "I"), ("does", "one"), ("can", "one"), ("I", "can")]
)
_IN_A_DESCRIPTION = frozenset("the a an of in and between".split())
_SENSE = frozenset("mean means meaning definition idiom expression".split())


def reshaped(tokens: list[str], words: Words) -> list[str]:
    """Return one wording for the ways to ask how to do, what is, what it means, how it works."""
    if tokens[0] == "how":
        return _how(tokens, words)
    if tokens[0] == "what":
        return _what(tokens, words)
    if tokens[0] in EXPLAIN and _is_plain(tokens[1:], words):
        return ["what", "is", *tokens[1:]]
    return tokens


def _how(tokens: list[str], words: Words) -> list[str]:
    if tuple(tokens[1:3]) in _ASKS_FOR_A_WAY and _is_done_on_purpose(tokens[3:], words):
        return ["how", "to", *tokens[3:]]
    thing = tokens[1:-1]
    if not _is_thing(thing, words) or thing[0] in words.of_degree or thing[0].endswith("ly"):
        return tokens  # "how well it works"
    if tokens[-1] == "works":
        return ["how", "does", *thing, "work"]
    if tokens[-1] == "work" and thing[-1].endswith("s"):
        return ["how", "do", *thing, "work"]
    return tokens


def _is_done_on_purpose(deed: list[str], words: Words) -> bool:
    verb = deed[0] if deed else ""
    if not (verb.isalpha() and verb.islower()) or verb in words.not_done_on_purpose:
        return False
    if verb.endswith(("ly", "ing")):  # "how do I really", "how does one thing"
        return verb in words.verbs
    return verb != "get" or deed[1:2] == ["rid"] or words.not_wanted.isdisjoint(deed[1:4])


def _what(tokens: list[str], words: Words) -> list[str]:
    if tokens[1:4] == ["is", "meant", "by"] and _is_thing(tokens[4:], words):
        return ["what", "does", *tokens[4:], "mean"]
    if tokens[-1] == "means" and _is_thing(tokens[1:-1], words):
        return ["what", "does", *tokens[1:-1], "mean"]
    if tokens[-1] in ("is", "are") and _is_described(tokens[1:-1], words):
        return ["what", tokens[-1], *tokens[1:-1]]
    meaning = [word for word in tokens if word != "the"]
    if meaning[1:4] == ["is", "meaning", "of"] and len(meaning) == 5:
        acronym = meaning[4]  # "the meaning of life" is another matter
        if acronym.isalpha() and acronym.isupper() and len(acronym) > 1:
            return ["what", "does", acronym, "mean"]
    return tokens


def _is_thing(thing: list[str], words: Words) -> bool:
    """Say whether these words name a thing, with an article or without, and nothing more."""
    if thing[:1] in (["a"], ["an"], ["the"]):
        thing = thing[1:]
    return 0 < len(thing) < 6 and all(_names(token, words) for token in thing)


def _names(token: str, words: Words) -> bool:
    bare = token.replace("-", "")
    return bare.isalnum() and token[0].isalpha() and token.lower() not in words.no_part_of_a_name


def _is_described(thing: list[str], words: Words) -> bool:
    """Say whether these words stand for one thing: "the capital of France"."""
    if not 0 < len(thing) < 8 or thing[-1] in _IN_A_DESCRIPTION:
        return False
    if thing[0] in ("the", "a", "an") or (len(thing) < 4 and thing[0] not in words.of_kind):
        return all(token in _IN_A_DESCRIPTION or _names(token, words) for token in thing)
    return False


def _is_plain(thing: list[str], words: Words) -> bool:
    """Say whether to explain this thing is to say what it is.

    Not for "the joke" (its article points), "Inception" (a title is explained otherwise), or
    several things ("what are they").
    """
    if thing[:1] == ["the"] or len(thing) > 5 or not _is_thing(thing, words):
        return False
    last = thing[-1].lower()
    if any(token.istitle() for token in thing) or (len(thing) == 1 and last in words.of_degree):
        return False
    several = last.endswith("s") and not last.endswith(("ss", "us", "is", "ics"))
    return not several or last in words.names or last in words.heads


def without_articles(tokens: list[str], words: Words) -> list[str]:
    """Return the words without the articles that say nothing. All others stay.

    "What is the matter" is not "what is matter", "a python" not "python", "a few" not "few", and in
    "hepatitis a" it is no article.
    """
    if tokens[0] == "what" and tokens[-2:-1] == ["in"] and tokens[-1].lower() in words.languages:
        return tokens
    idiom = not _SENSE.isdisjoint(tokens)  # "what does all the best mean"
    kept: list[str] = []  # backwards, so that "the the best" is one case
    for place in range(len(tokens) - 1, -1, -1):
        if idiom or tokens[place] != "the" or not kept or not place:
            kept.append(tokens[place])
        elif not _says_nothing(tokens[place - 1], kept[-1], words):
            kept.append("the")
    tokens = kept[::-1]
    while tokens[2:3] == ["the"] and _is_the_one_of(tokens, words):
        tokens = [*tokens[:2], *tokens[3:]]
    if tokens[:2] == ["what", "is"] and tokens[2:3] and tokens[2] in ("a", "an"):
        thing = tokens[3:]
        if len(thing) < 4 and _is_a_kind(thing, words):
            return ["what", "is", *thing]
    return tokens


def _says_nothing(before: str, behind: str, words: Words) -> bool:
    """Say whether "the" stands before a superlative, or after a preposition before an acronym."""
    if behind in words.superlatives:
        return before not in ("at", "to", "for", "all")
    name = behind.rstrip(",")
    if before not in words.before_the_acronym or not (name.isupper() and name.isalpha()):
        return False
    return len(name) > 2 or name in words.short_acronyms


def _is_the_one_of(tokens: list[str], words: Words) -> bool:
    """Say whether "what is the" goes on with "capital of"."""
    if tokens[0] not in WH or tokens[1] not in _COPULAS:
        return False
    place = next((at for at in range(4, 7) if tokens[at : at + 1] in (["of"], ["between"])), 0)
    if not place or not tokens[place + 1 :]:
        return False
    return tokens[place] == "between" or tokens[place - 1] not in words.not_the_one_of


def _is_a_kind(thing: list[str], words: Words) -> bool:
    """Say whether these words name a kind of thing and never one thing by its name."""
    parts = "-".join(thing).split("-")
    if not parts or not all(part.isalpha() and part.islower() and len(part) > 2 for part in parts):
        return False
    return parts[-1] in words.kinds and words.no_kind.isdisjoint(parts)
