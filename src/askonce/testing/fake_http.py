"""As much of HTTP/1.1 as a fake upstream needs: read a request, write a head and chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import BinaryIO
from urllib.parse import urlsplit

_LINE = 65_536


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request off the wire. Header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def keeps_alive(self) -> bool:
        """Whether the client will send another request on this connection."""
        return self.headers.get("connection", "").lower() != "close"


def read_request(stream: BinaryIO) -> HttpRequest | None:
    """Read the next request; None at the end of the connection.

    Raises ValueError when it is not HTTP.
    """
    line = stream.readline(_LINE)
    if not line.strip():
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    if not target.startswith("/"):
        # A client that takes us for its proxy writes the whole URL.
        parts = urlsplit(target)
        target = f"{parts.path}?{parts.query}"
    path, _, query = target.partition("?")
    headers = _read_headers(stream)
    return HttpRequest(method, path, query, headers, _read_body(stream, headers))


def _read_headers(stream: BinaryIO) -> dict[str, str]:
    headers: dict[str, str] = {}
    while (line := stream.readline(_LINE)).strip():
        name, _, value = line.decode("latin-1").partition(":")
        name, value = name.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _read_body(stream: BinaryIO, headers: Mapping[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", "").lower():
        return stream.read(int(headers.get("content-length", "0")))
    chunks: list[bytes] = []
    while size := int(stream.readline(_LINE).partition(b";")[0], 16):
        chunks.append(stream.read(size))
        stream.readline(_LINE)
    while stream.readline(_LINE).strip():
        pass
    return b"".join(chunks)


def head(status: int, headers: Mapping[str, str], length: int | None) -> bytes:
    """Write a status line and headers; without a length the body will come in chunks."""
    framing = f"content-length: {length}"
    if length is None:
        framing = "transfer-encoding: chunked"
    named = {"date": formatdate(usegmt=True), **headers}
    lines = [f"HTTP/1.1 {status} {_phrase(status)}", framing]
    lines += [f"{name}: {value}" for name, value in named.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunk(frame: bytes) -> bytes:
    """Write a piece of a body that comes in chunks; an empty one ends the body."""
    return b"%x\r\n%b\r\n" % (len(frame), frame)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
