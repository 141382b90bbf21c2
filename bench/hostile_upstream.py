"""An upstream that answers by what a request means: in this process, or over a socket."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import httpx2

import oracle
from askonce.testing.fake_script import RecordedRequest, Reply
from hostile_answers import CHANGE_VALUES, Answer, embeddings, ordinary
from hostile_requests import Sent
from hostile_streams import spoiled


class Upstream:
    """Answers by what a request means, and remembers what it was asked."""

    def __init__(self, seed: int, sane: float = 0.4) -> None:
        self.received: list[Sent] = []
        self.kinds: Counter[str] = Counter()
        self.untold: set[str] = set()
        """Inputs whose embedding may be anything."""
        self._seed = seed
        self._sane = sane
        self._lock = threading.Lock()

    def reply(self, sent: Sent) -> Answer:
        meant = oracle.meaning(sent)
        # Where the cache asks for usage by itself, the answer to its request is a little longer,
        # and could not be spoiled in the same place.
        asking = "api.openai.com" in sent.url and meant.stream
        chance = random.Random(f"{self._seed} {meant.digest} {meant.stream}")
        path = sent.url.partition("?")[0]
        if path.endswith("/embeddings"):
            good = embeddings([oracle.vector(part) for part in meant.parts or (meant.digest,)])
        else:
            stamp = f"stamp-{meant.digest}"
            asked = {"stream": meant.stream, "stream_options": {"include_usage": meant.usage}}
            good = ordinary(chance, path, stamp, {**json.loads(meant.labels), **asked})
        answer = good
        streamed = good.headers[0][1].startswith("text/event-stream")
        if not asking and chance.random() >= self._sane:
            answer = spoiled(chance, good, stream=streamed, values=not meant.parts)
            if path.endswith("/embeddings") and answer.kind in CHANGE_VALUES:
                self.untold.add(meant.digest)
        with self._lock:
            self.received.append(sent)
            self.kinds[f"{'stream' if streamed else 'whole'}: {answer.kind}"] += 1
        return answer

    def script(self, request: RecordedRequest) -> Reply:
        """Answer over the wire."""
        query = f"?{request.query}" if request.query else ""
        url = f"http://{request.headers['host']}{request.path}{query}"
        answer = self.reply(
            Sent("", request.method, url, tuple(request.headers.items()), request.body)
        )
        streamed = len(answer.chunks) > 1 or (answer.lost and answer.chunks != ())
        chunks = (*answer.chunks, b"never sent") if answer.lost else answer.chunks
        return Reply(
            status=answer.status,
            headers=dict(answer.headers),
            raw=chunks if streamed else b"".join(chunks),
            cut_after=(len(answer.chunks) if streamed else 0) if answer.lost else None,
        )


def as_sent(request: httpx2.Request) -> Sent:
    """Read what goes over the wire."""
    headers = tuple(request.headers.multi_items())
    return Sent("", request.method, str(request.url), headers, request.content)


class _Stream(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.chunks
        if self._answer.lost:
            raise httpx2.ReadError("the connection is lost")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            await asyncio.sleep(0)
            yield chunk


class Canned(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """A transport of either colour that asks an `Upstream` in this process."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = self._upstream.reply(as_sent(request))
        if answer.status == 0:
            raise httpx2.ConnectError("no connection")
        headers = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers]
        return httpx2.Response(answer.status, headers=headers, stream=_Stream(answer))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return self.handle_request(request)
