"""A local server that answers as the providers do, and says what it was asked."""

from __future__ import annotations

import json
import socket
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from askonce.testing.fake_gate import Gate, Hold
from askonce.testing.fake_http import HttpRequest, chunk, head, read_request
from askonce.testing.fake_journal import Journal
from askonce.testing.fake_script import RecordedRequest, Reply, Script
from askonce.testing.fake_server import Server, drop, is_left
from askonce.testing.fake_wires import Answer, render


class FakeUpstream:
    """A server on 127.0.0.1 that speaks the providers' wire formats, and counts.

        with FakeUpstream() as upstream:
            client = OpenAI(base_url=upstream.url + "/v1", api_key="any")

    It knows OpenAI (chat, Responses, completions, embeddings, models; Azure's, Groq's and Mistral's
    variants), Anthropic (messages) and Gemini (generate, stream, embed), whole and streamed.

    `script` answers a request, or returns None for the default answer; it may be replaced at any
    time. The default answer depends on the last user message alone. Ids, times and request ids
    differ from call to call, so that two answers from one call can be told from two calls.
    """

    def __init__(self, script: Script | None = None) -> None:
        self.script = script
        self._journal = Journal()
        self._gate = Gate()
        self._server: Server | None = None

    def __enter__(self) -> Self:
        self._server = Server(self._converse)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop every connection and stop; nothing delayed or held is waited for."""
        self._gate.shut()
        if self._server is not None:
            self._server.close()

    @property
    def url(self) -> str:
        """The address, without a path: `http://127.0.0.1:49152`."""
        if self._server is None:
            raise RuntimeError("not started: use `with FakeUpstream() as upstream:`")
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def calls(self) -> int:
        """How many requests have arrived, answered or not."""
        return len(self._journal.requests)

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests that have arrived, in order."""
        return self._journal.requests

    @property
    def abandoned(self) -> int:
        """How many answers the client did not stay to read; exact after `wait_until_idle`."""
        return self._journal.abandoned

    def count(self, path: str) -> int:
        """How many requests have arrived whose path contains this text."""
        return sum(path in request.path for request in self._journal.requests)

    def forget(self) -> None:
        """Begin the counts again. Numbers in ids go on."""
        self._journal.forget()

    def held(self, after_frames: int = 0) -> AbstractContextManager[Hold]:
        """Hold answers back until the block ends; requests still arrive and are counted.

        Streams are let go on for `after_frames` frames; whole answers wait to the end. The Hold
        lets more frames go (`allow`) or everything (`release`) before the block ends.
        """
        return self._gate.held(after_frames)

    def wait_for_calls(self, calls: int, timeout: float = 10.0) -> None:
        """Wait until so many requests have arrived; TimeoutError after so many seconds."""
        self._journal.wait_for_calls(calls, timeout)

    def wait_until_idle(self, timeout: float = 10.0) -> None:
        """Wait until no request is without its answer; TimeoutError after so many seconds."""
        self._journal.wait_until_idle(timeout)

    def _converse(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while (read := read_request(stream)) is not None:
                if not self._serve(connection, read):
                    return

    def _serve(self, connection: socket.socket, read: HttpRequest) -> bool:
        """Answer one request; whether the connection can be used again."""
        request = self._journal.begin(read)
        taken = False
        try:
            reply, answer = self._decide(request)
            taken = self._play(connection, reply, answer)
        finally:
            self._journal.end(abandoned=not taken)
        if answer.dropped:
            drop(connection)
        return taken and read.keeps_alive and not answer.dropped

    def _decide(self, request: RecordedRequest) -> tuple[Reply, Answer]:
        try:
            reply = (self.script(request) if self.script else None) or Reply()
            return reply, render(request, reply)
        except Exception as error:  # noqa: BLE001 (a broken script must be seen by the test's client)
            said = {"error": {"message": f"The fake upstream failed: {error!r}"}}
            reply = Reply(status=500, raw=json.dumps(said).encode())
            return reply, render(request, reply)

    def _play(self, connection: socket.socket, reply: Reply, answer: Answer) -> bool:
        """Send an answer; whether the client stayed for all of it."""
        if reply.delay and not self._gate.pause(reply.delay):
            return False
        opening = head(answer.status, answer.headers, answer.length) if answer.status else b""
        if answer.length is not None:
            return self._send(connection, opening + b"".join(answer.frames), None)
        ending = b"" if answer.dropped else chunk(b"")
        for place, frame in enumerate(answer.frames, start=1):
            if place > 1 and reply.pause and not self._gate.pause(reply.pause):
                return False
            data, opening = opening + chunk(frame), b""
            # The SDKs stop reading at the last frame: its end must not come after they have left.
            if place == len(answer.frames) and self._gate.is_open(place):
                data, ending = data + ending, b""
            if not self._send(connection, data, place - 1):
                return False
        if opening + ending:
            self._send(connection, opening + ending, len(answer.frames))
        return True

    def _send(self, connection: socket.socket, data: bytes, place: int | None) -> bool:
        if not self._gate.wait(place) or is_left(connection):
            return False
        connection.sendall(data)
        return True
