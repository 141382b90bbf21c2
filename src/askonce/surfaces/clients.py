"""The client surface: an official SDK client, cached in place.

A client is hooked in three places, all on the object itself: the transports of its HTTP client find
and keep answers; its `request` spans the SDK's own retries; `copy` and `with_options` hand the
hooks on. Private names of the SDKs are touched in this module and in `create` only.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from askonce.errors import ConfigError
from askonce.policy import Options
from askonce.session import Session
from askonce.surfaces import create
from askonce.surfaces.http import CachingTransport
from askonce.surfaces.journey import Journey, current

ClientT = TypeVar("ClientT")
Transports: TypeAlias = frozenset[CachingTransport]


@dataclass(frozen=True, slots=True)
class Way:
    """What the calls of one wrapped client have in common."""

    session: Session
    options: Options
    transports: Transports


def wrap(client: ClientT, session: Session, options: Options) -> ClientT:
    """Cache a client of the OpenAI or Anthropic SDK, or of one built alike, in place.

    Returns the same object. Wrapping twice with one cache changes nothing more; ConfigError if the
    second time asks for something else.
    """
    sdk: Any = client
    http = getattr(sdk, "_client", None)
    if http is None or not hasattr(http, "_transport") or not callable(_get(sdk, "request")):
        raise ConfigError(
            f"{type(client).__qualname__} is not a client that wrap knows; give its HTTP client "
            "transport=cache.transport(inner), or decorate your own function with @cache"
        )
    if getattr(sdk.request, "askonce_session", None) is session:
        if options not in (sdk.request.askonce_options, session.base):
            raise ConfigError(
                "this client is wrapped already, with other options: give them at first, wrap "
                "another client, or write with cache.using(...)"
            )
        return client
    transports = _cache_transports(http, session, options)
    _span_retries(sdk, session, options, transports)
    _hand_on(sdk, session, options)
    create.hook(sdk, session, options)
    return client


def _get(thing: Any, name: str) -> Any:
    return getattr(thing, name, None)


def _cache_transports(http: Any, session: Session, options: Options) -> Transports:
    """Put the cache around every transport, also in the mounts: with a proxy they do the work.

    They act only on calls of a wrapped client; others may share the HTTP client. Returns all of
    this cache that the client has.
    """
    ours = set()

    def cached(inner: Any) -> Any:
        layer = inner
        while isinstance(layer, CachingTransport):
            if layer.session is session:
                ours.add(layer)
                return inner
            layer = layer.inner
        outer = CachingTransport(inner, session, options, armed_only=True)
        ours.add(outer)
        return outer

    http._transport = cached(http._transport)
    for pattern, transport in http._mounts.items():
        if transport is not None:
            http._mounts[pattern] = cached(transport)
    return frozenset(ours)


def _span_retries(sdk: Any, session: Session, options: Options, transports: Transports) -> None:
    original = sdk.request
    hooked = _async_request if inspect.iscoroutinefunction(original) else _blocking_request
    request = hooked(sdk, original, Way(session, options, transports))
    request.askonce_session = session  # type: ignore[attr-defined]
    request.askonce_options = options  # type: ignore[attr-defined]
    sdk.request = request


def _blocking_request(sdk: Any, original: Callable[..., Any], way: Way) -> Callable[..., Any]:
    @functools.wraps(original)
    def request(cast_to: Any, call: Any, *arguments: Any, **named: Any) -> Any:
        if call.method.lower() != "post":
            return original(cast_to, call, *arguments, **named)
        with _journey(sdk, way):
            return original(cast_to, call, *arguments, **named)

    return request


def _async_request(sdk: Any, original: Callable[..., Any], way: Way) -> Callable[..., Any]:
    @functools.wraps(original)
    async def request(cast_to: Any, call: Any, *arguments: Any, **named: Any) -> Any:
        if call.method.lower() != "post":
            return await original(cast_to, call, *arguments, **named)
        with _journey(sdk, way):
            return await original(cast_to, call, *arguments, **named)

    return request


@contextmanager
def _journey(sdk: Any, way: Way) -> Iterator[None]:
    """Span one call of a client, with all of its attempts."""
    # A call made inside this one (for a fresh API key, say) is not the one that is pending.
    pending = create.pending.get()
    inside = create.pending.set(None)
    alias = pending.alias_for(sdk) if pending else None
    journey = Journey(way.session, way.options, alias, way.transports)
    token = current.set(journey)
    failed = True  # without an error too: a ticket that is still held has no answer
    try:
        yield
    except BaseException as error:
        failed = isinstance(error, Exception)
        if journey.refusal is not None:
            raise journey.refusal from None
        raise
    finally:
        current.reset(token)
        create.pending.reset(inside)
        journey.finish(failed=failed)


def _hand_on(sdk: Any, session: Session, options: Options) -> None:
    for name in ("copy", "with_options"):
        original = _get(sdk, name)
        if original is not None:
            setattr(sdk, name, _wrapping(original, session, options))


def _wrapping(
    original: Callable[..., Any], session: Session, options: Options
) -> Callable[..., Any]:
    @functools.wraps(original)
    def copy(*arguments: Any, **named: Any) -> Any:
        return wrap(original(*arguments, **named), session, options)

    return copy
