"""`askonce review`: a person judges whether near questions have the same answer."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from askonce import entries, searching
from askonce.blocking import run
from askonce.commands.answers import first_words
from askonce.commands.opening import NothingFoundError, Place, add_url, opened, place
from askonce.commands.terminal import plain, say, say_json, tell
from askonce.guards.vetoes import veto
from askonce.model import Entry
from askonce.semantic.contract import Neighbour, Wording
from askonce.semantic.search import JUDGED_FROM, NEAREST, Parts
from askonce.semantic.tiers import Semantic
from askonce.stores.contract import Store

_YES, _NO, _LATER, _QUIT = "y", "n", "s", "q"


def add(commands: Any) -> None:
    """Add this command to the parser."""
    review = commands.add_parser("review", help="judge whether near questions have one answer")
    add_url(review)
    review.add_argument(
        "--list", action="store_true", help="only list the pairs that wait, as JSON lines"
    )
    review.set_defaults(run=run_review)


def run_review(arguments: argparse.Namespace) -> int:
    """Ask about each pair that nobody has judged; 1 when there is none."""
    found = place(arguments.url)
    with opened(found) as store:
        parts = _parts(found)
        try:
            return _list(parts, store) if arguments.list else _ask(parts, store)
        finally:
            parts.index.close()


def _parts(found: Place) -> Parts:
    search = searching.opener(Semantic(direct=False), found.url, sealed=False)
    assert search is not None
    return search.parts


def _list(parts: Parts, store: Store) -> int:
    count = 0
    for old, new, _, _ in _waiting(parts, store):
        count += 1
        say_json(
            {
                "old": old.wording.text,
                "new": new.text,
                "similarity": round(old.similarity, 4),
                "keys": [old.wording.answer.hex(), new.key.hex()],
            }
        )
    return 0 if count else 1


def _ask(parts: Parts, store: Store) -> int:
    judged = {_YES: 0, _NO: 0}
    seen = False
    for old, new, before, after in _waiting(parts, store):
        seen = True
        say(f"\ncosine {old.similarity:.3f}")
        for wording, entry in ((old.wording, before), (new, after)):
            say(f"  {plain(wording.text)}")
            say(f"    {first_words(entry, 300)}")
        verdict = _verdict()
        if verdict == _QUIT:
            break
        if verdict == _YES:
            _join(parts, store, old.wording, new, after)
        elif verdict == _NO:
            parts.ledger.add({_told_apart(old.wording, new): 1})
        if verdict in judged:
            judged[verdict] += 1
    if not seen:
        raise NothingFoundError("no pair waits: near questions are kept by Semantic(...) caches")
    say(f"\n{judged[_YES]} joined, {judged[_NO]} told apart")
    return 0


def _verdict() -> str:
    while True:
        tell("does the first answer serve both? [y]es, [n]o, [s]kip, [q]uit")
        try:
            said = input().strip().lower()[:1]
        except EOFError:
            return _QUIT
        if said in (_YES, _NO, _LATER, _QUIT):
            return said


def _waiting(parts: Parts, store: Store) -> Iterator[tuple[Neighbour, Wording, Entry, Entry]]:
    """Go through the pairs that nobody has judged: the older wording first."""
    told_apart = parts.ledger.read()
    after = b""
    while page := parts.index.scan(after):
        after = page[-1].key
        for new in page:
            # Who shares the answer of another was judged before.
            if new.answer != new.key:
                continue
            entry = _entry(store, new.key)
            pair = None if entry is None else _nearest(parts, new, told_apart, store, entry)
            if entry is not None and pair is not None:
                yield pair[0], new, pair[1], entry


def _nearest(
    parts: Parts, new: Wording, told_apart: Any, store: Store, entry: Entry
) -> tuple[Neighbour, Entry] | None:
    vector = parts.embedder.embed([new.text])[0]
    for old in parts.index.nearest(new.scope, vector, NEAREST):
        if old.similarity < JUDGED_FROM:
            break
        if old.wording.answer == new.answer or _told_apart(old.wording, new) in told_apart:
            continue
        if veto(old.wording.text, new.text) is not None:
            continue
        before = _entry(store, old.wording.answer)
        # Of two, the older one stays; what has tags of its own stands for itself.
        if before is not None and before.created <= entry.created and before.tags == entry.tags:
            return old, before
    return None


def _entry(store: Store, key: bytes) -> Entry | None:
    entry = run(store.get((key,))).entries[0]
    return None if entry is None or entry.kind == "alias" else entry


def _join(parts: Parts, store: Store, old: Wording, new: Wording, entry: Entry) -> None:
    run(store.put({new.key: entries.pointer(old.answer, entry)}))
    vectors = parts.embedder.embed([new.text])
    joined = Wording(new.key, new.scope, old.answer, new.text, new.expires)
    parts.index.add([joined], vectors)


def _told_apart(old: Wording, new: Wording) -> str:
    pair = b"".join(sorted((old.key, new.key)))
    return f"apart/{blake2b(pair, digest_size=12).hexdigest()}"
