"""How an embedding endpoint is reached: by an official client, or by HTTP alone."""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from askonce.embedders.vectors import EmbedderError
from askonce.errors import ConfigError
from askonce.stores.forks import Locked

Row: TypeAlias = tuple[int, Sequence[float]]
"""Place of a text among those asked for, and its numbers."""

SHOWN = 200
"""Characters of a server's error that are shown."""


class Wire(Protocol):
    """A way to ask a server for embeddings."""

    place: str
    """The address, without what is secret."""

    def ask(self, body: Mapping[str, Any]) -> Iterable[Row]:
        """Send the body of one request to `/embeddings`, and return its rows."""


def wire_of(upstream: Any, api_key: str | None, timeout: float) -> Wire:
    """Tell a client from a URL. Raises ConfigError for anything else, and for an async client."""
    if isinstance(upstream, str):
        return Http(upstream, api_key, timeout)
    if any(kind.__name__ == "AsyncAPIClient" for kind in type(upstream).__mro__):
        raise ConfigError("embeddings are asked for in threads: give a blocking client, OpenAI()")
    if not hasattr(type(upstream), "with_options"):
        raise ConfigError(f"{type(upstream).__name__} is neither a client of openai nor a base URL")
    if api_key is not None:
        raise ConfigError("a client has its own key: give api_key with a base URL only")
    return Client(upstream, timeout)


class Client:
    """An official client, which is the user's."""

    def __init__(self, client: Any, timeout: float) -> None:
        self.place = _shown(str(client.base_url))
        self._client = client
        self._timeout = timeout

    def ask(self, body: Mapping[str, Any]) -> Iterable[Row]:
        """Ask once, without the client's own further tries."""
        client = self._client.with_options(timeout=self._timeout, max_retries=0)
        answer = client.embeddings.create(**body)
        try:
            return [(row.index, row.embedding) for row in answer.data]
        except (AttributeError, TypeError) as wrong:
            raise EmbedderError(f"{self.place} gave no list of embeddings: {wrong}") from wrong


class _Row(Struct):
    index: int
    embedding: list[float]


class _Answer(Struct):
    data: list[_Row]


class Http(Locked):
    """A base URL, asked by httpx2 or httpx over connections that stay open."""

    def __init__(self, url: str, api_key: str | None, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"{_shown(url)!r} is not a base URL: use one like https://api.openai.com/v1"
            )
        if parts.username or parts.password:
            raise ConfigError(f"{_shown(url)} names a user or password: give api_key instead")
        super().__init__()
        self.place = _shown(url)
        self._url = parts._replace(path=f"{parts.path.rstrip('/')}/embeddings").geturl()
        self._api_key = api_key
        self._timeout = timeout
        self._http: Any = None

    def ask(self, body: Mapping[str, Any]) -> Iterable[Row]:
        """Ask once. Raises EmbedderError when there is no answer, or one that is an error."""
        module = _module()
        key = {} if self._api_key is None else {"authorization": f"Bearer {self._api_key}"}
        headers = {"content-type": "application/json", **key}
        try:
            content = msgspec.json.encode(body)
            answer = self._client(module).post(self._url, content=content, headers=headers)
        except module.HTTPError as lost:
            raise EmbedderError(f"{self.place} did not answer: {self._told(str(lost))}") from lost
        if answer.status_code != 200:
            said = self._told(answer.text)
            raise EmbedderError(f"{self.place} answered {answer.status_code}: {said}")
        try:
            read = msgspec.json.decode(answer.content, type=_Answer)
        except msgspec.DecodeError as wrong:
            raise EmbedderError(f"{self.place} gave no list of embeddings: {wrong}") from wrong
        return [(row.index, row.embedding) for row in read.data]

    def after_fork(self, *, child: bool) -> None:
        """In the child, take new connections: on a shared one, answers would get mixed up."""
        if child:
            self._http = None
        super().after_fork(child=child)

    def _client(self, module: Any) -> Any:
        with self._lock:
            if self._http is None:
                self._http = module.Client(timeout=self._timeout)
                weakref.finalize(self, self._http.close)
            return self._http

    def _told(self, message: str) -> str:
        if self._api_key:  # some servers repeat it
            message = message.replace(self._api_key, "...")
        return message[:SHOWN]


def _module() -> Any:
    for name in ("httpx2", "httpx"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ConfigError("a base URL is asked by httpx2: pip install httpx2, or give a client")


def _shown(url: str) -> str:
    """Return a URL without user, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl().rstrip("/")
