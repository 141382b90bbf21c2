"""Requests as files: read, told apart from their surroundings, and planned as a call would be."""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from askonce import dialects, keys, plans
from askonce.dialects.contract import Dialect, Json
from askonce.dialects.wire import encode
from askonce.errors import Ambiguous, ConfigError
from askonce.model import Headers, Reason, Request
from askonce.policy import Models, Options

_ENVELOPE = frozenset({"method", "url", "headers", "body"})


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, and what the cache thinks of it.

    `keys` holds one for each input of a batch, and none where it has no key. `reason` says why a
    call like it would be a bypass.
    """

    file: str
    request: Request
    body: Json
    guessed: bool
    dialect: Dialect | None
    keys: tuple[bytes, ...]
    reason: Reason | None


def add_url_path(parser: argparse.ArgumentParser) -> None:
    """Let a command be told where a body without a URL is sent."""
    parser.add_argument(
        "--url-path",
        metavar="PATH",
        help="where bodies without a url are sent, such as /v1/chat/completions or a whole URL "
        "(default: guessed from the body)",
    )


def read(file: str, url_path: str | None) -> Asked:
    """Read a file that holds a request's body, or an object of `url`, `headers` and `body`.

    Raises ConfigError for anything else.
    """
    raw, doubt = _load(file), None
    try:
        whole = keys.parse(raw)
    except Ambiguous as error:
        doubt = Reason("ambiguous", str(error))
        whole = _leniently(file, raw)
    if not isinstance(whole, dict) or "body" not in whole or not whole.keys() <= _ENVELOPE:
        whole = {"body": whole}
    body = whole["body"]
    if isinstance(body, str):
        body = _leniently(file, body.encode("utf-8", "surrogatepass"))
    if not isinstance(body, dict):
        raise ConfigError(f"{file} holds no JSON object: it must be the body of a request")
    request = Request(
        method=str(whole.get("method", "POST")).upper(),
        url=_url(file, whole.get("url") or _guess(file, body, url_path)),
        headers=_headers(file, whole.get("headers")),
        body=encode(body).encode(),
    )
    return _considered(file, request, body, guessed="url" not in whole, doubt=doubt)


def _load(file: str) -> bytes:
    try:
        return Path(file).read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read ({error.strerror}): name a file that holds a request as JSON"
        ) from error


def _leniently(file: str, raw: bytes) -> Any:
    """Read JSON as Python does, so that a request without a key can still be compared."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is not JSON ({error}): it must hold one request") from error


def _headers(file: str, given: Any) -> Headers:
    pairs = list(given.items()) if isinstance(given, dict) else given or []
    try:
        return tuple((str(name).lower(), str(value)) for name, value in pairs)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{file}: headers must be an object of names and values") from error


def _url(file: str, given: Any) -> str:
    with suppress(ValueError, TypeError, AttributeError):
        parts = urlsplit(given)
        # A port that is no number is found out when it is asked for.
        if parts.scheme and parts.hostname and parts.port != 0:
            return str(given)
    raise ConfigError(
        f"{file}: {given!r} is not a URL: write one like https://api.openai.com/v1/chat/completions"
    )


def _guess(file: str, body: Json, url_path: str | None) -> str:
    """Guess where a body would be sent. `url_path` says it, as a path or a whole URL."""
    model = str(body.get("model", ""))
    anthropic = "messages" in body and "max_tokens" in body and "claude" in model.lower()
    host = "https://api.anthropic.com" if anthropic else "https://api.openai.com"
    if url_path is not None:
        return url_path if "://" in url_path else f"{host}/{url_path.lstrip('/')}"
    if anthropic:
        return f"{host}/v1/messages"
    if "messages" in body:
        return f"{host}/v1/chat/completions"
    if "input" in body:
        return f"{host}/v1/{'embeddings' if 'embed' in model.lower() else 'responses'}"
    if "prompt" in body:
        return f"{host}/v1/completions"
    if "contents" in body:
        return "https://generativelanguage.googleapis.com/v1beta/models/unknown:generateContent"
    raise ConfigError(
        f"{file} does not say where it is sent: use --url-path /v1/chat/completions, "
        'or write {"url": ..., "body": ...}'
    )


def _considered(
    file: str, request: Request, body: Json, *, guessed: bool, doubt: Reason | None
) -> Asked:
    """Plan the request as a call would be, and make its keys even where that is a bypass."""
    planned = plans.make(request, Options(), Models.shipped())
    reason = doubt or (planned if isinstance(planned, Reason) else None)
    dialect = dialects.find(urlsplit(request.url).path)
    made: tuple[bytes, ...] = ()
    if dialect is not None and doubt is None:
        try:
            parts = dialect.batching.parts(body) if dialect.batching else [body]
            made = tuple(keys.digest(keys.document(request, dialect, part)) for part in parts)
        except Ambiguous as error:
            reason = Reason("ambiguous", str(error))
        else:
            body = parts[0] if len(parts) == 1 else body
    return Asked(file, request, body, guessed, dialect, made, reason)


def without_credentials(url: str) -> str:
    """Write a URL without the credentials that may stand in it."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        parts = parts._replace(netloc=f"hidden@{parts.netloc.rpartition('@')[2]}")
    if not any(name in keys.CREDENTIAL_QUERY for name, _ in parse_qsl(parts.query)):
        return urlunsplit(parts)
    query = [
        (name, "hidden" if name in keys.CREDENTIAL_QUERY else value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    ]
    return urlunsplit(parts._replace(query=urlencode(query)))
