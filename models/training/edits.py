"""Small changes to real questions: some change nothing, the others everything."""

from __future__ import annotations

import re
from random import Random

import lexicon as words

# fmt: off: a row of a table reads best on one line
Edit = tuple[str, str]
"""What was done, and the text that came of it."""

_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.]*\d)")
_WORD = re.compile(r"[A-Za-z][A-Za-z+#.'-]*[A-Za-z+#]|[A-Za-z]")


def _other_members() -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    for members in words.CATEGORIES:
        for member in members:
            found.setdefault(member.lower(), []).append(members)
    return found


_MEMBERS = _other_members()
_OPPOSITE: dict[str, list[str]] = {}
for _row in words.ANTONYMS:
    for _one, _other in ((_row[0], _row[1]), (_row[1], _row[0])):
        _OPPOSITE.setdefault(_one, []).append(_other)
_NO_OPPOSITE = frozenset(
    "in out on off up down right left like all end hard get first long".split()
)
"""Words with more than one use, where the opposite makes no sentence."""
_LONG = sorted((name for name in _MEMBERS if " " in name), key=len, reverse=True)

_QUESTION_WORDS = {
    "how do i": ["why do i", "when do i", "should i", "why should i", "can i", "where do i"],
    "how can i": ["why can't i", "when can i", "should i", "can i", "where can i"],
    "how do you": ["why do you", "when do you", "do you", "where do you"],
    "how does": ["why does", "when does", "does", "where does"],
    "how did": ["why did", "when did", "did", "where did"],
    "how to": ["why to", "when to", "where to"],
    "why do": ["how do", "when do", "do", "where do", "why don't"],
    "why does": ["how does", "when does", "does", "why doesn't"],
    "why is": ["how is", "when is", "is", "why isn't"],
    "why are": ["how are", "when are", "are", "why aren't"],
    "why did": ["how did", "when did", "did", "why didn't"],
    "when did": ["where did", "why did", "how did"],
    "when will": ["where will", "why will", "how will"],
    "where can i": ["when can i", "why can i", "how can i"],
    "where is": ["what is", "when is", "why is"],
    "who is": ["where is", "how is", "what is"],
    "should i": ["how should i", "when should i", "should i not", "why should i"],
    "can i": ["how can i", "should i", "can i not", "when can i"],
    "is it": ["is it not", "why is it", "when is it", "how is it"],
    "do you": ["why do you", "don't you ever", "when do you"],
    "does": ["why does", "when does", "how does"],
    "will": ["why will", "when will", "how will", "did"],
    "which is the best": ["which is the worst", "which is the cheapest", "which is the newest"],
    "what is the best": [
        "what is the worst",
        "what is the cheapest",
        "what is the first",
        "what is the second best",
    ],
    "what are the best": [
        "what are the worst",
        "what are the cheapest",
        "what are the latest",
        "what are the most dangerous",
    ],
    "what is the": ["why is the", "where is the", "who is the", "what was the", "what is not the"],
    "what are the": ["why are the", "where are the", "what were the", "what are not the"],
    "what is": [
        "why is",
        "where is",
        "how is",
        "what was",
        "who invented",
        "what is not",
        "how much is",
    ],
    "what are": ["why are", "where are", "what were", "how many are", "what are not"],
    "what does": ["why does", "when does", "what doesn't", "what did"],
    "how much": ["how long", "how often", "why that much"],
    "how many": ["which", "why so many", "how few"],
    "is there": ["why is there", "where is there", "was there"],
}

_BEFORE = [
    "Hi, ",
    "Hello, ",
    "Please tell me: ",
    "Quick question: ",
    "I was wondering: ",
    "Hey, ",
    "I have a question: ",
    "Could you help me? ",
    "Question: ",
    "I want to know: ",
    "Tell me, ",
    "I'm curious: ",
    "Can you tell me: ",
]
_AFTER = [
    " Thanks!",
    " Please help.",
    " Thank you.",
    " Any idea?",
    " I am curious.",
    " Please explain.",
    " Just curious.",
]
_SAYS = [
    ("what is", "what's"),
    ("how do i", "how can i"),
    ("how can i", "how do i"),
    ("how do you", "how does one"),
    ("how do i", "how do you"),
    ("how to", "how do i"),
    ("how do i", "what should i do to"),
    ("how can i", "what can i do to"),
    ("what are some", "what are"),
    ("why is", "what is the reason"),
    ("is there any", "is there a"),
    ("what are some of the", "what are the"),
    ("what are the best", "which are the best"),
    ("what is the best", "which is the best"),
    ("how do i", "can you tell me how to"),
    ("how can i", "could you explain how i can"),
    ("how do i", "please explain how i"),
    ("how can i", "what is the way to"),
    ("should i", "do you think i should"),
    ("do not", "don't"),
    ("does not", "doesn't"),
    ("can not", "can't"),
    ("cannot", "can't"),
    ("is not", "isn't"),
    ("i am", "i'm"),
    ("i have", "i've"),
    ("what is the best way to", "what's the best way to"),
    ("what is the difference between", "what are the differences between"),
    ("what are your thoughts on", "what do you think of"),
    ("what is your opinion on", "what do you think about"),
    ("what does it feel like to", "how does it feel to"),
    ("what is it like to", "how is it to"),
    ("what are the advantages of", "what are the benefits of"),
    ("how much time does it take to", "how long does it take to"),
    ("how long does it take to", "how much time is needed to"),
    ("what is the cost of", "how much does it cost for"),
    ("who is the", "who's the"),
    ("what are the symptoms of", "which symptoms come with"),
    ("what is the meaning of", "what is meant by"),
    ("is it possible to", "can one"),
    ("is it possible to", "is there a way to"),
]


def sentence(text: str) -> str:
    """Return a text that begins with a capital."""
    return text[:1].upper() + text[1:]


def _begins(text: str, with_: str) -> bool:
    return text.lower().startswith(with_ + " ")


def same(rng: Random, text: str) -> Edit | None:
    """Say the same in another dress."""
    kind = rng.randrange(8)
    if kind < 4:
        fit = [(one, other) for one, other in _SAYS if _begins(text, one) and one != "why is"]
        if fit:
            one, other = rng.choice(fit)
            return "frame", sentence(other + text[len(one) :])
        kind = 4 + rng.randrange(4)
    if kind == 4:
        return "dress", rng.choice(_BEFORE) + text
    if kind == 5:
        return "dress", text + rng.choice(_AFTER)
    if kind == 6:
        return "dress", text.lower().rstrip("?") if rng.random() < 0.5 else text.lower()
    for one, other in rng.sample([*map(tuple, words.SYNONYMS)], len(words.SYNONYMS)):  # type: ignore[misc] # rows of two
        for old, new in ((one, other), (other, one)):
            found = re.search(rf"\b{old}\b", text)
            if found:
                return "synonym", text[: found.start()] + new + text[found.end() :]
    return None


def _symmetric(text: str) -> Edit | None:
    """Turn round what may be turned: between A and B, A or B at the end."""
    found = re.fullmatch(r"(.*\b(?:differences? between)) ([\w .'-]+?) and ([\w .'-]+?)\?", text)
    found = found or re.fullmatch(r"((?:Which|What|Who) .*[:,]) ([\w '-]+) or ([\w '-]+)\?", text)
    if not found:
        return None
    link = " and " if "between" in found[1] else " or "
    return "turned, symmetric", f"{found[1]} {found[3]}{link}{found[2]}?"


def also_same(rng: Random, text: str) -> Edit | None:
    """Say the same: turned round where order says nothing, else in another dress."""
    return _symmetric(text) or same(rng, text)


def _number(rng: Random, text: str) -> Edit | None:
    found = list(_NUMBER.finditer(text))
    if not found:
        return None
    at = rng.choice(found)
    old = int(at[0])
    new = rng.choice([old + 1, max(0, old - 1), old * 2, old + rng.randrange(2, 40), old * 10])
    return None if new == old else ("number", text[: at.start()] + str(new) + text[at.end() :])


def _opposite(rng: Random, text: str) -> Edit | None:
    found = [at for at in _WORD.finditer(text) if at[0] in _OPPOSITE and at[0] not in _NO_OPPOSITE]
    if not found:
        return None
    at = rng.choice(found)
    return "opposite", text[: at.start()] + rng.choice(_OPPOSITE[at[0]]) + text[at.end() :]


def _member(rng: Random, text: str) -> Edit | None:
    low = text.lower()
    spots = [
        (at.start(), at.end())
        for name in _LONG
        if name in low
        for at in re.finditer(rf"\b{re.escape(name)}\b", low)
    ]
    spots = spots or [
        (at.start(), at.end()) for at in _WORD.finditer(text) if at[0].lower() in _MEMBERS
    ]
    if not spots:
        return None
    start, end = rng.choice(spots)
    old = text[start:end]
    if old.lower() in ("go", "c", "r", "word", "target", "may", "second"):
        return None
    members = rng.choice(_MEMBERS[old.lower()])
    new = rng.choice([member for member in members if member.lower() != old.lower()])
    return "another of its kind", text[:start] + new + text[end:]


def _question_word(rng: Random, text: str) -> Edit | None:
    for words_ in sorted(_QUESTION_WORDS, key=len, reverse=True):
        if _begins(text, words_):
            new = rng.choice(_QUESTION_WORDS[words_])
            return "question word", sentence(new + text[len(words_) :])
    return None


_WITHOUT = ["money", "help", "a computer", "pain", "a degree", "internet"]
_FOR = ["free", "a friend", "a child", "my company", "an exam", "a living"]


def _narrowed(rng: Random, text: str) -> Edit | None:
    if not text.endswith("?") or "?" in text[:-1]:
        return None
    more = rng.choice(
        [
            rng.choice(words.MODIFIERS),
            f"in {rng.choice(words.COUNTRIES)}",
            f"in {rng.choice(words.CITIES)}",
            f"for {rng.choice(words.PLURALS)}",
            f"without {rng.choice(_WITHOUT)}",
            f"in {rng.randrange(1990, 2030)}",
            f"if I have {rng.choice(words.CONDITIONS)}",
            f"after {rng.choice(words.DAYS)}",
            f"for {rng.choice(_FOR)}",
        ]
    )
    return "narrowed", f"{text[:-1]} {more}?"


def _widened(_: Random, text: str) -> Edit | None:
    found = re.fullmatch(
        r"(.{18,}) (?:in|for|with|without|from|at|by|after|before|during|as|on) [^?]{3,40}\?", text
    )
    return ("widened", f"{found[1]}?") if found else None


def _qualified(rng: Random, text: str) -> Edit | None:
    found = list(re.finditer(r"\b(?:a|an|the|my) (?=[a-z]{4,})", text))
    if not found:
        return None
    at = rng.choice(found)
    return "qualified", f"{text[: at.end()]}{rng.choice(words.QUALIFIERS)} {text[at.end() :]}"


def _turned(_: Random, text: str) -> Edit | None:
    found = re.search(
        r"\bfrom ([\w'-]+) to ([\w'-]+)\b"
        r"|\b([\w'-]+) (?:better|worse|bigger|older|faster|more \w+) than ([\w'-]+)\b",
        text,
    )
    found = found or re.search(r"\b(?:convert|change|turn) ([\w'-]+) (?:in)?to ([\w'-]+)\b", text)
    if not found:
        return None
    a, b = [at for at in range(1, len(found.groups()) + 1) if found[at]]
    s, t = found.span(a), found.span(b)
    return "turned", text[: s[0]] + found[b] + text[s[1] : t[0]] + found[a] + text[t[1] :]


def _negated(rng: Random, text: str) -> Edit | None:
    found = list(
        re.finditer(
            r"\b(should|can|could|would|will|do|does|did|is|are|was|were)\b"
            r"(?! not|n't)( (?:I|you|we|they|he|she|it|people))?",
            text,
        )
    )
    found = [at for at in found if at.start() > 0 or at[2]]
    if not found:
        return None
    at = rng.choice(found)
    return "negated", f"{text[: at.end()]} not{text[at.end() :]}"


DIFFERENT = [
    (_number, 6),
    (_opposite, 4),
    (_member, 6),
    (_question_word, 2),
    (_narrowed, 2),
    (_widened, 2),
    (_qualified, 2),
    (_turned, 4),
    (_negated, 2),
]
"""Changes after which the answer is another, and their weights."""


def different(rng: Random, text: str) -> Edit | None:
    """Change a question so that its answer changes."""
    edits = [edit for edit, _ in DIFFERENT]
    weights = [weight for _, weight in DIFFERENT]
    for _ in range(6):
        edit = rng.choices(edits, weights)[0]
        if done := edit(rng, text):
            return done if done[1].lower() != text.lower() else None
    return None
