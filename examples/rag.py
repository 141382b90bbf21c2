"""Retrieval-augmented generation with the whole chain cached, not only the call.

    python examples/rag.py                            no key and no network are needed
    python examples/rag.py --cache sqlite:///rag.db   twice: the second process pays for nothing
    python examples/rag.py --real                     with OPENAI_API_KEY, against OpenAI

What does an answer depend on? Retrieval searches every document, so any edit may change what is
found, and so may a document that is added. The whole index is declared as one document; retrieval
depends on it, its tags flow up to every answer, and after an edit each chain runs again. That costs
next to nothing, because what is inside has entries of its own. A vector is kept by its passage's
text, so only the edited passage is embedded again. The chat call is kept by its prompt, in which
the passages found stand, so only questions whose passages have changed are asked again. Whoever
tags an answer with no more than the documents it was made from saves that little work, and misses
the better passage that another document has just gained.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import httpx2
from openai import DefaultHttpxClient, OpenAI

from askonce import Cache, Outcome
from askonce.testing import FakeUpstream
from askonce.testing.fake_script import RecordedRequest, Reply

ROOT = Path(__file__).resolve().parent.parent
QUESTIONS = (
    "How does invalidating a tag end the answers that depend on a document?",
    "What happens when the Redis server hangs or is gone?",
    "Which permissions does the user of a Redis server need?",
    "Does a field of the request that nobody knows count in the key?",
    "Who pulls the next piece of a stream that several callers read?",
    "What still leaks when entries are sealed with secrets?",
)
TOP = 3
"""Passages that a question is answered from."""
CHAT, EMBEDDING = "gpt-4o-mini", "text-embedding-3-small"
PROMPT = "Answer the question from these passages alone, in one sentence."
PRICES = {CHAT: (0.15, 0.60), EMBEDDING: (0.02, 0.0)}
"""Dollars for a million tokens, in and out: examples, from openai.com/api/pricing in 2025."""


# The documents, and their index


@dataclass(frozen=True)
class Passage:
    document: str
    text: str


def read_documents() -> dict[str, str]:
    """Read this project's own documents."""
    files = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return {file.relative_to(ROOT).as_posix(): file.read_text("utf-8") for file in files}


def split(name: str, text: str) -> list[Passage]:
    """Split a document into passages, each with its heading."""
    passages: list[Passage] = []
    lines: list[str] = []
    fenced = False
    for line in text.splitlines(keepends=True):
        if line.startswith("#") and not fenced and lines:
            passages.append(Passage(name, "".join(lines)))
            lines = []
        fenced ^= line.startswith("```")
        lines.append(line)
    return [*passages, Passage(name, "".join(lines))]


class Index:
    """The passages of all documents; their vectors are made when a question first needs them."""

    def __init__(self, cache: Cache, client: OpenAI, texts: dict[str, str]) -> None:
        # From here on, whatever was found in another index is dead.
        self.document = cache.document("index of rag.py", json.dumps(texts, sort_keys=True))
        self.passages = [passage for name in texts for passage in split(name, texts[name])]
        self._client = client

    @cached_property
    def vectors(self) -> list[list[float]]:
        return self.embed([passage.text for passage in self.passages])

    def embed(self, texts: list[str]) -> list[list[float]]:
        """Make a vector of each text; only those that are new are sent."""
        made = self._client.embeddings.create(model=EMBEDDING, input=texts, encoding_format="float")
        return [item.embedding for item in made.data]

    def nearest(self, asked: list[float], vectors: list[list[float]]) -> list[Passage]:
        """Find the passages whose vectors are nearest to the one asked for."""
        nearness = [sum(map(float.__mul__, asked, vector)) for vector in vectors]
        order = sorted(range(len(nearness)), key=nearness.__getitem__, reverse=True)
        return [self.passages[at] for at in order[:TOP]]


# The chain


@dataclass(frozen=True)
class Answer:
    text: str
    sources: list[str]
    dollars: float
    """What its chat call costs. To embed the question costs less than a hundredth of that."""


class Rag:
    """Answers questions from an index, which may be replaced at any time."""

    def __init__(self, cache: Cache, client: OpenAI) -> None:
        self.index = Index(cache, client, {})

        # Until a document changes. Which index it has is told by its tag, and not by `self`.
        @cache(policy="summary", depends_on=[EMBEDDING, TOP])
        def retrieve(question: str) -> list[Passage]:
            index = self.index
            # Vectors are made outside of the block: they are true whatever becomes of a document.
            vectors, [asked] = index.vectors, index.embed([question])
            with cache.using(tags=[index.document]):
                return index.nearest(asked, vectors)

        # The index flows up from `retrieve`. What else an answer depends on is part of the key.
        @cache(policy="summary", depends_on=[str(client.base_url), CHAT, PROMPT, TOP])
        def answer(question: str) -> Answer:
            found = retrieve(question)
            passages = "\n\n".join(passage.text for passage in found)
            said = client.chat.completions.create(
                model=CHAT,
                temperature=0,
                messages=[
                    {"role": "system", "content": PROMPT},
                    {"role": "user", "content": f"{passages}\n\nQuestion: {question}"},
                ],
            )
            assert said.usage is not None
            usage = {"input": said.usage.prompt_tokens, "output": said.usage.completion_tokens}
            sources = [passage.document for passage in found]
            return Answer(said.choices[0].message.content or "", sources, dollars(CHAT, usage))

        self.retrieve: Callable[[str], list[Passage]] = retrieve
        self.answer: Callable[[str], Answer] = answer


def dollars(model: str, usage: Mapping[str, int]) -> float:
    """Say what so many tokens cost."""
    into, out = PRICES[model]
    return (usage.get("input", 0) * into + usage.get("output", 0) * out) / 1e6


# The provider: the real one, or a stand-in on this machine


class Wire(httpx2.HTTPTransport):
    """The network below the cache. It counts what is really sent."""

    def __init__(self, stand_in: str = "") -> None:
        super().__init__()
        self.chats = self.embeddings = self.texts = 0
        self._stand_in = httpx2.URL(stand_in)

    def sent(self) -> tuple[int, int, int]:
        """Count chats, embeddings, and the texts in these."""
        return self.chats, self.embeddings, self.texts

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/embeddings"):
            self.embeddings += 1
            self.texts += len(json.loads(request.content)["input"])
        else:
            self.chats += 1
        if self._stand_in.host:
            # Its port changes, and the address is part of every key: callers see a fixed one.
            where = {"host": self._stand_in.host, "port": self._stand_in.port}
            request.url = request.url.copy_with(**where)
        return super().handle_request(request)


def answer_as_a_stand_in(request: RecordedRequest) -> Reply:
    """Embed texts by their words, and answer with the first words of the first passage."""
    body = request.json
    if request.path.endswith("/embeddings"):
        data = [
            {"object": "embedding", "index": index, "embedding": bag_of_words(text)}
            for index, text in enumerate(body["input"])
        ]
        tokens = sum(len(text.split()) for text in body["input"])
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        raw = {"object": "list", "model": body["model"], "data": data, "usage": usage}
        return Reply(raw=json.dumps(raw).encode(), delay=0.05)
    passage = body["messages"][-1]["content"].partition("\n\n")[2]
    return Reply(text=" ".join(passage.split()[:20]) + " ...", delay=0.3)


def bag_of_words(text: str, size: int = 1024) -> list[float]:
    """Make a vector of the words in a text, each hashed to a place. It knows no meaning."""
    vector = [0.0] * size
    words = Counter(word.rstrip("s") for word in re.findall(r"[a-z]{4,}", text.lower()))
    for word, count in words.items():
        vector[zlib.crc32(word.encode()) % size] += 1 + math.log(count)
    length = math.hypot(*vector) or 1.0
    return [round(number / length, 6) for number in vector]


@contextmanager
def provider(*, real: bool) -> Iterator[tuple[OpenAI, Wire]]:
    """Make the official client, over a wire that counts."""
    if real:
        wire = Wire()
        with OpenAI(http_client=DefaultHttpxClient(transport=wire)) as client:
            yield client, wire
        return
    with FakeUpstream(answer_as_a_stand_in) as upstream:
        wire = Wire(upstream.url)
        http = DefaultHttpxClient(transport=wire, trust_env=False)
        with OpenAI(base_url="http://stand-in.test/v1", api_key="none", http_client=http) as client:
            yield client, wire


# The runs

HEADER = "RUN                         CHATS  EMBEDDINGS  TEXTS  CHAIN HITS  SECONDS     SAVED"
ROW = "{:<26} {:>6} {:>11} {:>6} {:>11} {:>8.3f}  ${:.6f}"
LEGEND = """
CHATS and EMBEDDINGS are calls that were sent, TEXTS what they had embedded. SAVED is what the calls
that were not sent would have cost, at example prices.
"""


def run(name: str, rag: Rag, cache: Cache, wire: Wire) -> None:
    """Ask all questions, and print what it took."""
    sent, began = wire.sent(), time.perf_counter()
    saved, chain_hits = 0.0, 0
    with cache.recording() as outcomes:
        for question in QUESTIONS:
            answer = rag.answer(question)
            if is_hit(cache.last):
                chain_hits += 1
                saved += answer.dollars
    seconds = time.perf_counter() - began
    # Where a chain ran, there were hits inside it.
    inside = [outcome for outcome in outcomes if is_hit(outcome) and outcome.model in PRICES]
    saved += sum(dollars(outcome.model, outcome.usage) for outcome in inside)
    chats, embeddings, texts = map(int.__sub__, wire.sent(), sent)
    print(ROW.format(name, chats, embeddings, texts, chain_hits, seconds, saved))


def is_hit(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.hit


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cache", metavar="URL", help="default: a new SQLite file, dropped after")
    parser.add_argument("--real", action="store_true", help="ask OpenAI; needs OPENAI_API_KEY")
    asked = parser.parse_args(arguments)
    if asked.real and not os.environ.get("OPENAI_API_KEY"):
        parser.error("--real needs OPENAI_API_KEY in the environment")
    with (
        tempfile.TemporaryDirectory() as folder,
        provider(real=asked.real) as (client, wire),
        Cache(asked.cache or f"sqlite:///{folder}/rag.db") as cache,
    ):
        rag = Rag(cache, cache.wrap(client))
        texts = read_documents()
        print(f"{len(QUESTIONS)} questions to {len(texts)} documents")
        print(HEADER)
        for name in ("1: cold", "2: all the same"):
            rag.index = Index(cache, client, texts)
            run(name, rag, cache, wire)
        edited = rag.retrieve(QUESTIONS[0])[0]
        text = texts[edited.document].replace(edited.text, f"{edited.text}\nStill so.\n", 1)
        rag.index = Index(cache, client, {**texts, edited.document: text})
        run("3: a document was edited", rag, cache, wire)
        rag.index = Index(cache, client, texts)
        run("4: the edit is taken back", rag, cache, wire)
        print(LEGEND)
        print(f"The edit: one more line, in memory alone, in {edited.document}.\n")
        print(f"Q: {QUESTIONS[0]}\nA: {rag.answer(QUESTIONS[0]).text}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
