"""Takes off what only dresses a question: politeness, and contractions with one meaning."""

from __future__ import annotations

from functools import cache

from askonce.semantic.words import Words

WH = frozenset(["what", "how", "why", "when", "where", "which", "who"])
EXPLAIN = frozenset(["explain", "define"])

_NEGATED = {
    f"{verb}n't": verb
    for verb in "is are was were do does did could should would has have had must".split()
} | {"won't": "will"}
_SHORTENED = {"m": "am", "re": "are", "ve": "have", "ll": "will"}
_PRONOUNS = frozenset("I you he she it we they".split())

_ASKING = frozenset(["can", "could", "would", "will"])
_ANYTHING = frozenset[str]()
_VERBS = EXPLAIN | {"tell"}
_PREFACES: tuple[tuple[str, frozenset[str]], ...] = (
    ("hi,", _ANYTHING),
    ("hello,", _ANYTHING),
    ("hey,", _ANYTHING),
    # What follows is named, as "Please Please Me" is a record.
    ("please", WH | _VERBS | {"can", "could", "would"}),
    ("please,", WH | _VERBS),
    ("kindly", _VERBS),
    ("can you", _VERBS | {"please", "kindly"}),
    ("could you", _VERBS | {"please", "kindly"}),
    ("would you", _VERBS | {"please", "kindly"}),
    # "Can anyone explain consciousness" is a question of its own.
    ("can anyone", frozenset(["tell"])),
    ("can someone", frozenset(["tell"])),
    ("could anyone", frozenset(["tell"])),
    ("could someone", frozenset(["tell"])),
    ("i want to know", WH),
    ("i would like to know", WH),
    ("i'd like to know", WH),
    ("tell me", WH),
    ("explain", WH),
)
"""How a request may begin, and which word must come next for it to say nothing."""


@cache
def _by_first_word() -> dict[str, list[tuple[list[str], frozenset[str]]]]:
    found: dict[str, list[tuple[list[str], frozenset[str]]]] = {}
    for preface, following in _PREFACES:
        said = preface.split()
        found.setdefault(said[0], []).append((said, following))
    return found


def without_politeness(tokens: list[str]) -> list[str]:
    """Return the words without greetings, please and thanks, and "can you tell me"."""
    prefaces = _by_first_word()
    while len(tokens) > 1:
        if tokens[-1] in ("please", "thanks") and tokens[-2] == "," and len(tokens) > 2:
            tokens = tokens[:-2]
        elif tokens[-1] in ("please", "thanks") and tokens[-2][:-1] and tokens[-2].endswith(","):
            tokens = [*tokens[:-2], tokens[-2][:-1]]
        elif tokens[-1] == "please" and tokens[0].lower() in EXPLAIN and tokens[-2] != "to":
            tokens = tokens[:-1]  # elsewhere it may be a verb: "How do I please?"
        elif (first := tokens[0].lower()) in prefaces:
            less = _less(tokens, prefaces[first])
            if less is tokens:
                break
            tokens = less
        else:
            break
    return tokens


def _less(tokens: list[str], prefaces: list[tuple[list[str], frozenset[str]]]) -> list[str]:
    low = [token if token[1:].isupper() else token.lower() for token in tokens[:6]]
    for said, following in prefaces:
        after = len(said)
        if low[:after] == said and (not following or set(low[after : after + 1]) <= following):
            return tokens[after:] or tokens
    if low[0] == "explain" and len(tokens) > 3:
        if low[1:3] == ["to", "me"]:
            return ["explain", *tokens[3:]]
        if tokens[-2:] == ["to", "me"]:
            return tokens[:-2]
    return tokens


def is_one(tokens: list[str], words: Words) -> bool:
    """Say whether these words begin as a question does. The first is in lower case."""
    first = tokens[0]
    if first in EXPLAIN or tokens[:3] == ["tell", "me", "about"]:
        return len(tokens) > 1
    if first in _ASKING and tokens[1:2] == ["you"]:
        return False  # "Can you improve he is the best" brings a text along
    return first.partition("'")[0] in words.begins_a_question or first in _NEGATED


# Contractions


def in_full(tokens: list[str], words: Words) -> list[str]:
    """Return the words with contractions written out, where they can mean one thing only."""
    if tokens[0] == "whats":
        tokens = ["what's", *tokens[1:]]
    if not any("'" in token for token in tokens):
        return tokens
    full: list[str] = []
    for place, token in enumerate(tokens):
        following = tokens[place + 1] if place + 1 < len(tokens) else ""
        full += _written_out(token, following, tokens[-1], words)
    return full


def _written_out(short: str, following: str, last: str, words: Words) -> list[str]:
    if short == "can't":
        return ["cannot"]
    word, apostrophe, ending = short.partition("'")
    if not apostrophe or not following:
        return [short]
    if short in _NEGATED:
        # "What doesn't eating do" is not "what does not eating do".
        bound = following in words.not_after_contracted_not or following.endswith("ing")
        return [short] if bound or not following[0].isalpha() else [_NEGATED[short], "not"]
    if ending == "s" and word in WH:
        # "Who's eaten" is "who has eaten".
        has = _is_done(following.partition("-")[0], words) or _is_done(last, words)
        return [short] if has else [word, "is"]
    if word in _PRONOUNS and ending in _SHORTENED and (ending != "m" or word == "I"):
        return [word, _SHORTENED[ending]]
    return [short]


def _is_done(word: str, words: Words) -> bool:
    return word in words.not_after_contracted_is or word.endswith(("ed", "en"))
