"""Reads a text as the words of one plain question, or says why it is left as it is."""

from __future__ import annotations

import re

from askonce.model import Reason
from askonce.semantic.words import Words

LONGEST = 300
"""Characters. A longer text is a document or a story, seldom a question that others ask too."""

LONG = Reason("long", f"more than {LONGEST} characters are matched as they are")
LINES = Reason("lines", "several lines are matched as they are")
SENTENCES = Reason("sentences", "several sentences are matched as they are")
QUOTED = Reason("quoted", "a quotation is matched as it is")
SIGNS = Reason("signs", "code, paths, formulas and lists are matched as they are")
SCRIPT = Reason("script", "only Latin letters are read")
END = Reason("end", "its last sign may be a part of the word")
FRESH = Reason("fresh", "its answer changes with time")
POINTING = Reason("pointing", "it points at something outside the text")
TEXT = Reason("text", "it asks about a text, where every sign counts")
NO_QUESTION = Reason("no_question", "it is a request or a statement and no question")

_PLAIN = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ0-9 '\u2019,.?!%&+#$€£()-]*")
_QUOTES = re.compile('["`\u00b4\u00ab\u00bb\u2018-\u201f\u2039\u203a]')
_NEVER_SHORT = frozenset(["me", "is", "are"])
_WORDS = re.compile(r"[a-zà-öø-ÿ]+")
_APOSTROPHE = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ0-9]+'[A-Za-z]+,?")
_DECIMAL = re.compile(r"[(+$€£-]*\d*(?:\.\d+)+[%),]*")


def read(text: str, words: Words) -> list[str] | Reason:
    """Return the words of a text, without the sign at its end, or why it is left alone."""
    unfit = _unfit(text)
    if unfit is not None:
        return unfit
    tokens = _without_end(text.replace("\u2019", "'").split(), words)
    if isinstance(tokens, Reason):
        return tokens
    for token in tokens:
        if "'" in token and not _APOSTROPHE.fullmatch(token):
            return QUOTED
        if "." in token and not _DECIMAL.fullmatch(token):
            return SENTENCES if token.endswith(".") else SIGNS
        if "?" in token or "!" in token:
            return SENTENCES
    return _telling(text, words) or tokens


def _unfit(text: str) -> Reason | None:
    if len(text) > LONGEST:
        return LONG
    if _PLAIN.fullmatch(text):
        return None
    if len(text.splitlines()) > 1:
        return LINES
    if _QUOTES.search(text):
        return QUOTED
    return SIGNS if text.isascii() else SCRIPT


def _without_end(tokens: list[str], words: Words) -> list[str] | Reason:
    """Take off the question mark or the full stop, where it can be nothing else."""
    if not tokens:
        return NO_QUESTION
    last = tokens[-1]
    if last == "?":
        tokens = tokens[:-1]
        if len(tokens) < 3:
            return END  # "What is ?" asks about the sign
    elif last.endswith("?"):
        word = last.rstrip("?")
        if len(last) - len(word) > 1 and not (word.isalpha() and word.islower() and len(word) > 3):
            return END  # "int??" may ask about "int?"
        tokens[-1] = word
    elif last.endswith("."):
        # An abbreviation keeps its dot; which short words are one, nobody can tell.
        word = last[:-1].rpartition("-")[2]
        short = len(word) < (3 if word.isupper() else 4) and word not in _NEVER_SHORT
        if short or not word.isalpha() or word.lower() in words.abbreviations:
            return END
        tokens[-1] = last[:-1]
    if not tokens or not tokens[-1] or tokens[-1][-1] in "?!.,-'&":
        return END  # "What is no.?" asks about "no."
    return tokens


def _telling(text: str, words: Words) -> Reason | None:
    """Return why a word in this text leaves it alone."""
    found = set(_WORDS.findall(text.lower()))
    if found.isdisjoint(words.telling):
        return None
    if not found.isdisjoint(words.text_operations):
        return TEXT
    if not found.isdisjoint(words.pointing):
        return POINTING
    if not found.isdisjoint(words.fresh):
        return FRESH
    return None if found.isdisjoint(words.periods) else FRESH
