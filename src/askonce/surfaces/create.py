"""The fast path of a wrapped client: a repeated `create` is answered before the SDK does anything.

The digest of the call's arguments is an alias of the key that an earlier, equal call had on the
wire. Following it needs no request, no HTTP stack and no parsing: the object that the SDK built
once is cloned. Anything unusual takes the ordinary way through the SDK and the transport.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from askonce import dialects, keys, replay
from askonce.blocking import run
from askonce.dialects.contract import Dialect, Facts
from askonce.engine import Recalled
from askonce.errors import Ambiguous
from askonce.model import NOTHING, Entry
from askonce.policy import Options, pinnable
from askonce.session import Session
from askonce.stores.forks import Locked
from askonce.surfaces.clones import UnclonableError, clone


@dataclass(frozen=True, slots=True)
class Pending:
    """A `create` call being made, by its alias."""

    client: Any
    alias: bytes

    def alias_for(self, client: Any) -> bytes | None:
        """Return the alias, if it is this client that makes the call."""
        return self.alias if client is self.client else None


pending: ContextVar[Pending | None] = ContextVar("askonce_pending", default=None)
"""The `create` call being made in this context."""

# Arguments that change the HTTP request itself; the alias does not look into them.
_UNUSUAL = frozenset({"extra_headers", "extra_query", "stream"})
_NEUTRAL = frozenset({"timeout"})
_LABELS = ("metadata", "user", "safety_identifier", "prompt_cache_key")
"""Neutral fields that an answer of Responses repeats."""

PROTOTYPES = 32 * 2**20
"""Bytes of answers whose SDK objects are kept for cloning, over all of a client."""

_OBJECT_PER_BYTE = 7
"""What an SDK object takes for a byte of its JSON, about, and that byte itself (a ChatCompletion:
10 KB for 1.6)."""


@dataclass(frozen=True, slots=True)
class Target:
    """One `create` method: where it is, and what it builds."""

    resource: str
    dialect: str
    builds: str


_OPENAI = (
    Target("chat.completions", "openai.chat", "openai.types.chat.ChatCompletion"),
    Target("completions", "openai.completions", "openai.types.Completion"),
    Target("responses", "openai.responses", "openai.types.responses.Response"),
)
_ANTHROPIC = (Target("messages", "anthropic.messages", "anthropic.types.Message"),)

TARGETS: Mapping[str, tuple[Target, ...]] = {
    "openai.OpenAI": _OPENAI,
    "openai.AsyncOpenAI": _OPENAI,
    "openai.lib.azure.AzureOpenAI": _OPENAI,
    "openai.lib.azure.AsyncAzureOpenAI": _OPENAI,
    "anthropic.Anthropic": _ANTHROPIC,
    "anthropic.AsyncAnthropic": _ANTHROPIC,
}


def hook(client: Any, session: Session, options: Options) -> None:
    """Put the fast path before the `create` methods of a client whose exact type is known."""
    kind = type(client)
    is_async = inspect.iscoroutinefunction(client.request)
    prototypes = Prototypes(PROTOTYPES)
    for target in TARGETS.get(f"{kind.__module__.removesuffix('._client')}.{kind.__name__}", ()):
        resource = functools.reduce(getattr, target.resource.split("."), client)
        original = resource.create
        fast = Fast(client, session, options, target, prototypes)
        resource.create = _async(original, fast) if is_async else _blocking(original, fast)


def _blocking(original: Callable[..., Any], fast: Fast) -> Callable[..., Any]:
    @functools.wraps(original)
    def create(*arguments: Any, **named: Any) -> Any:
        alias = None if arguments else fast.alias(named)
        if alias is not None and (known := run(fast.find(alias, named))) is not None:
            return known
        token = pending.set(fast.pending(alias))
        try:
            return original(*arguments, **named)
        finally:
            pending.reset(token)

    return create


def _async(original: Callable[..., Any], fast: Fast) -> Callable[..., Any]:
    @functools.wraps(original)
    async def create(*arguments: Any, **named: Any) -> Any:
        alias = None if arguments else fast.alias(named)
        if alias is not None and (known := await fast.find(alias, named)) is not None:
            return known
        token = pending.set(fast.pending(alias))
        try:
            return await original(*arguments, **named)
        finally:
            pending.reset(token)

    return create


class Fast:
    """Knows one `create` method: the aliases of its calls, and how its answers become objects."""

    def __init__(
        self,
        client: Any,
        session: Session,
        options: Options,
        target: Target,
        prototypes: Prototypes,
    ) -> None:
        dialect = dialects.named(target.dialect)
        assert dialect is not None
        self._client = client
        self._session = session
        self._options = options
        self._target = target
        self._dialect: Dialect = dialect
        self._prototypes = prototypes
        self._neutral = dialect.neutral | _NEUTRAL
        self._sdk = type(client).__module__.partition(".")[0]
        types = importlib.import_module(f"{self._sdk}._types")
        self._left_out = (types.NotGiven, types.Omit)
        self._identified: tuple[tuple[Any, ...], str] = ((), "")
        self._version: str = importlib.import_module(self._sdk).__version__

    def alias(self, named: dict[str, Any]) -> bytes | None:
        """Digest everything that decides what this call sends; None where that is not certain."""
        options = self._session.options(self._options)
        if options.refresh or options.bypass or options.samples is not None:
            return None
        rules = options.rules
        if rules is not None and rules.marks:
            return None
        identity = self._identity()
        if identity is None:
            return None
        if self._dialect.name == "openai.responses" and not self._unlabelled(named):
            return None
        # Rules may look at the labels too.
        neutral = self._neutral if rules is None else self._neutral - {"metadata"}
        counted = self._counted(named, neutral)
        if counted is None:
            return None
        policy = options.policy
        decided = [policy.enabled, policy.sampled, policy.effects, policy.pin_temperature]
        flags = [*decided, "" if rules is None else rules.digest]
        try:
            return keys.digest([keys.VERSION, options.tenant, flags, identity, counted])
        except Ambiguous:
            return None

    def _counted(self, named: dict[str, Any], neutral: frozenset[str]) -> dict[str, Any] | None:
        """Return the arguments that decide the answer; None if some change the request itself."""
        counted = {}
        for name, value in named.items():
            if name in _UNUSUAL:
                if value and not isinstance(value, self._left_out):
                    return None
            elif name not in neutral and not isinstance(value, self._left_out):
                counted[name] = value
        extra = counted.get("extra_body")
        if extra is not None and (type(extra) is not dict or "stream" in extra):
            return None
        return counted

    def _unlabelled(self, named: dict[str, Any]) -> bool:
        """Say whether a call has no labels of its own, which its answer would have to repeat."""
        extra = named.get("extra_body")
        given = {**named, **extra} if isinstance(extra, dict) else named
        return not any(
            given.get(name) and not isinstance(given[name], self._left_out) for name in _LABELS
        )

    def pending(self, alias: bytes | None) -> Pending | None:
        """Return what the client's request is to know of this call."""
        return None if alias is None else Pending(self._client, alias)

    def _identity(self) -> str | None:
        """Digest everything of the client that reaches the wire and is not a credential."""
        client = self._client
        http = client._client
        if client._strict_response_validation or getattr(client, "_middleware", None):
            return None
        if getattr(client, "_provider", None) or http._auth or not _harmless(http._event_hooks):
            return None
        seen = (
            client._base_url,
            # Anthropic's `organization` is a resource.
            (client.organization, client.project) if self._sdk == "openai" else (),
            # Azure's clients make other URLs of the same base.
            (type(client).__name__.removeprefix("Async"), *_azure(client)),
            http.params,
            http.headers.raw,
            client._custom_headers,
            client._custom_query,
            getattr(client, "_credential_headers", NOTHING),
        )
        known, identity = self._identified
        if seen != known:
            identity = self._digest(seen)
            # Copies of the tables, so that a change inside them is seen.
            self._identified = ((*seen[:5], *map(dict, seen[5:])), identity)
        return identity

    def _digest(self, seen: tuple[Any, ...]) -> str:
        url, account, kind, params, headers, *tables = seen
        models = self._session.engine.models
        return keys.digest(
            [
                [self._version, self._target.resource, str(url), account, kind, str(params)],
                [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers],
                [{name: repr(value) for name, value in table.items()} for table in tables],
                # What these tables say decides too: which calls are cached, and for which model.
                [models.without_temperature, models.temperature_at_rest, models.live],
                dict(models.stands_for),
            ]
        ).hex()

    async def find(self, alias: bytes, named: dict[str, Any]) -> Any:
        """Return the object of the entry that the alias leads to; None if there is none."""
        options = self._session.options(self._options)
        recalled = await self._session.engine.recall(alias, options)
        if recalled is None:
            return None
        if options.rules is not None:
            # Which rule holds is known on the wire only: what the strictest lets go is asked there.
            age = self._session.engine.clock() - recalled.entry.created
            if age >= options.rules.shortest:
                return None
        built = self._prototypes.get(recalled)
        known = await self._build(recalled) if built is None else clone(built)
        if known is not None:
            outcome = self._session.engine.outcome_of(recalled.key, recalled.entry, options)
            outcome.tier = recalled.tier
            outcome.pinned = options.policy.pin_temperature and self._is_pinned(named, options)
            self._session.note(outcome)
        return known

    def _is_pinned(self, named: dict[str, Any], options: Options) -> bool:
        """Say whether this call was sent with a temperature that its caller did not give."""
        given = {**named, **(named.get("extra_body") or {})}
        body = {name: it for name, it in given.items() if not isinstance(it, self._left_out)}
        facts = self._dialect.facts("", body)
        models = self._session.engine.models
        return pinnable(facts, options.policy, models) and self._dialect.pinned(body) is not None

    async def _build(self, recalled: Recalled) -> Any:
        """Have the SDK build the object of an entry, and keep it; None where that cannot be."""
        make = self._making(recalled)
        if make is None:
            return None
        built = make()
        if inspect.isawaitable(built):
            built = await built
        try:
            twin = clone(built)
        except UnclonableError:
            return None
        self._prototypes.put(recalled, built)
        return twin

    def _making(self, recalled: Recalled) -> Callable[[], Any] | None:
        """Return what makes the SDK build its object from this entry, if the entry holds it."""
        response = replay.render(self._dialect, recalled.entry.response, Facts(stream=False))
        if response is None:
            return None
        http: Any = importlib.import_module(
            type(self._client._client.headers).__module__.partition(".")[0]
        )
        options: Any = importlib.import_module(f"{self._sdk}._models").FinalRequestOptions
        module, _, name = self._target.builds.rpartition(".")
        return functools.partial(
            self._client._process_response,
            cast_to=getattr(importlib.import_module(module), name),
            options=options.construct(method="post", url=str(self._client._base_url)),
            response=http.Response(
                response.status,
                headers=list(response.headers),
                content=response.body,
                request=http.Request("POST", str(self._client._base_url)),
            ),
            stream=False,
            stream_cls=None,
        )


def _azure(client: Any) -> tuple[str, str]:
    """Return where an Azure client sends its calls; nothing for any other client."""
    said = (getattr(client, name, None) for name in ("_azure_endpoint", "_azure_deployment"))
    endpoint, deployment = ("" if it is None else str(it) for it in said)
    return endpoint, deployment


def _harmless(hooks: Mapping[str, list[Callable[..., Any]]]) -> bool:
    """Say whether an HTTP client's hooks are none but the SDK's own."""
    return not hooks["response"] and all(
        getattr(hook, "__module__", None) == "openai.lib.azure" for hook in hooks["request"]
    )


class Prototypes(Locked):
    """Built SDK objects by entry; the least recently used go when their bytes are too many."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._kept: OrderedDict[bytes, tuple[Entry, Any]] = OrderedDict()
        self._size = 0

    def get(self, recalled: Recalled) -> Any:
        with self._lock:
            entry, built = self._kept.get(recalled.key, (None, None))
            # The entry may have been replaced since, even within one tick of the clock.
            if entry != recalled.entry:
                return None
            self._kept.move_to_end(recalled.key)
            return built

    def put(self, recalled: Recalled, built: Any) -> None:
        with self._lock:
            before, _ = self._kept.pop(recalled.key, (None, None))
            self._size += _size(recalled.entry) - _size(before)
            self._kept[recalled.key] = (recalled.entry, built)
            while self._size > self._limit:
                _, (entry, _) = self._kept.popitem(last=False)
                self._size -= _size(entry)


def _size(entry: Entry | None) -> int:
    return 0 if entry is None else len(entry.body) * _OBJECT_PER_BYTE
