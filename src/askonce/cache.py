"""What people hold: one cache for clients, transports, functions and hand-made calls."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from askonce import documents, keys, units
from askonce.blocking import run
from askonce.colours import THREADS
from askonce.dialects.contract import Facts
from askonce.dialects.plain import PLAIN
from askonce.documents import Document
from askonce.engine import PATIENCE
from askonce.errors import ConfigError
from askonce.journal import EventName, Hook, Stats
from askonce.model import Entry, Outcome
from askonce.overlays import UNSET, Unset, overlay
from askonce.plans import Plan
from askonce.policy import Models, Options, Policy
from askonce.rules import Rule, Rules
from askonce.semantic.tiers import Semantic, read
from askonce.session import Session, opener, sealer, searcher
from askonce.stores.contract import Store
from askonce.surfaces import asking, objects

if TYPE_CHECKING:
    from askonce.sealing import Secrets
    from askonce.settings import Settings
    from askonce.stores.sealed import Sealed

ClientT = TypeVar("ClientT")
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class Cache:
    """A cache for calls to language models.

    `Cache()` keeps answers in memory over SQLite in the user's cache folder, or where the
    environment variable ASKONCE_URL says; `Cache("memory://")`, `Cache("sqlite:///answers.db")`.
    A `Store` may be given in place of a URL, and is then yours to close. Making a cache opens
    nothing; the first call does.

    `ttl` is how long answers are kept ("24h", seconds, or None for no expiry; a week by default),
    `policy` (or the name of a preset, such as "faq") what is cached at all, and `rules` which
    policy holds for which request where a client or block names none. With
    `semantic=True`, or a `Semantic`, a question is also answered from another wording of it.
    `tenant` says whose data it is, `memory` and `disk` bound the tiers in bytes. With `strict` a
    failing store raises StoreError instead of letting the call go on without it.

    With `secrets` (or ASKONCE_SECRETS) the store sees neither keys nor answers, and cannot forge
    one: 32 random bytes each, or their base64, the newest first; or a mapping of such lists by
    tenant, where `""` stands for everybody else.
    """

    def __init__(
        self,
        url: str | Store | None = None,
        *,
        ttl: str | float | None | Unset = UNSET,
        policy: Policy | str | None = None,
        rules: Iterable[Rule] = (),
        semantic: Semantic | bool | None = None,
        tenant: str = "",
        models: Models | None = None,
        memory: str | int = "64MB",
        disk: str | int = "1GB",
        strict: bool = False,
        secrets: Secrets | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if url is None:
            url = os.environ.get("ASKONCE_URL")
        if isinstance(url, str | None):
            sizes = {"memory": units.size(memory), "disk": units.size(disk)}
            open_it = opener(url, **sizes, strict=strict)
        else:
            store = url
            open_it = lambda: store  # noqa: E731 (whoever made it closes it)
        options = overlay(ttl=ttl, policy=policy, tenant=tenant).over(Options())
        if ruled := list(rules):
            options = replace(options, rules=Rules(ruled))
        if semantic:
            options = replace(options, semantic=read(semantic))
        sealed_by = sealer(secrets)
        search = searcher(options.semantic, url, sealed=sealed_by is not None)
        self.session = Session(
            open_it,
            closes=isinstance(url, str | None),
            options=options,
            models=models,
            clock=clock,
            strict=strict,
            sealer=sealed_by,
            search=search,
        )
        self._asked = asking.Clients()

    @classmethod
    def from_settings(
        cls,
        said: Settings | str | Path | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Make the cache that a settings file and the ASKONCE_... variables say.

        The file is that of a path, or of ASKONCE_CONFIG, or `askonce.toml` in the current folder if
        it is there; variables override it. Raises ConfigError that names the file, the line and the
        nearest valid name.
        """
        from askonce import settings

        found = said if isinstance(said, settings.Settings) else settings.read(said)
        return cls(
            found.url,
            ttl=found.ttl,
            policy=found.policy,
            rules=found.rules,
            semantic=found.semantic,
            tenant=found.tenant,
            models=found.models,
            memory=found.memory,
            disk=found.disk,
            strict=found.strict,
            secrets=found.secrets,
            clock=clock,
        )

    # Surfaces. Each is imported when it is used first, so that none costs those who do without.

    def wrap(
        self,
        client: ClientT,
        *,
        policy: Policy | str | None = None,
        ttl: str | float | None | Unset = UNSET,
        tags: Iterable[str | Document] = (),
    ) -> ClientT:
        """Cache the calls of an OpenAI or Anthropic client, in place, and return it.

        Types, exceptions, streams, retries and timeouts stay as they are.
        """
        from askonce.surfaces.clients import wrap

        return wrap(client, self.session, self._options(policy=policy, ttl=ttl, tags=tags))

    def transport(
        self,
        inner: Any,
        *,
        policy: Policy | str | None = None,
        ttl: str | float | None | Unset = UNSET,
        tags: Iterable[str | Document] = (),
    ) -> Any:
        """Return a transport for an httpx2 or httpx client, blocking or async, around `inner`."""
        from askonce.surfaces.http import CachingTransport

        options = self._options(policy=policy, ttl=ttl, tags=tags)
        return CachingTransport(inner, self.session, options)

    @overload
    def __call__(self, function: FunctionT, /) -> FunctionT: ...

    @overload
    def __call__(
        self,
        /,
        *,
        ttl: str | float | None | Unset = UNSET,
        policy: Policy | str | None = None,
        tags: Iterable[str | Document] = (),
        version: str | int = "",
        code: bool = False,
        depends_on: Any = None,
        patience: str | float | None = PATIENCE,
    ) -> Callable[[FunctionT], FunctionT]: ...

    def __call__(
        self,
        function: Any = None,
        /,
        *,
        ttl: str | float | None | Unset = UNSET,
        policy: Policy | str | None = None,
        tags: Iterable[str | Document] = (),
        version: str | int = "",
        code: bool = False,
        depends_on: Any = None,
        patience: str | float | None = PATIENCE,
    ) -> Any:
        """Cache a function, coroutine, generator or async generator by its arguments.

        Arguments and results are JSON, dataclasses, pydantic models or TypedDicts; results other
        than JSON need the function's return annotation. `version` is part of the key, and with
        `code=True` so is the function's own code, and `depends_on`: a value, or a function that
        tells it at each call, such as the generation of an index. What is called inside, on a miss,
        has entries of its own, and its tags are this function's too. An equal call under way is
        waited for `patience` long ("10m", seconds, or None for as long as it takes), and made again
        then.
        """
        from askonce.surfaces.functions import cached
        from askonce.surfaces.identities import code_version
        from askonce.surfaces.kept import Decoration

        options = self._options(policy=policy, ttl=ttl, tags=tags)
        wait = units.seconds(patience)

        def decorate(target: Callable[..., Any]) -> Callable[..., Any]:
            parts = f"{version}/{code_version(target)}" if code else str(version)
            named = str(version) != "" or depends_on is not None
            return cached(target, self.session, options, Decoration(parts, wait, depends_on, named))

        return decorate if function is None else decorate(function)

    def ask(self, prompt: str, model: str, *, client: Any = None, **parameters: Any) -> Any:
        """Ask a model one question at temperature 0: `(text, from_cache)`.

        Without `client`, the model's official client is made from its environment variables. With
        an async client the result must be awaited. Other parameters go to the call.
        """
        if client is None:
            client = self._asked.of(model)
        self.wrap(client)
        models = self.session.engine.models
        said = asking.ask(client, prompt, model, models, parameters)
        if isinstance(said, str):
            return asking.Answer(said, self._from_cache())

        async def later() -> asking.Answer:
            return asking.Answer(await said, self._from_cache())

        return later()

    def _from_cache(self) -> bool:
        return self.last is not None and self.last.hit

    # For people who make the call themselves

    def get(self, **request: Any) -> Any:
        """Return what was put for an equal request, a new object each time; None if nothing was.

        Raises Ambiguous for a request that is not JSON.
        """
        session = self.session
        options = session.options(session.base)
        key = keys.value_key("request", request, tenant=options.tenant)
        engine = session.engine
        kept = options.policy.enabled and not (options.refresh or options.bypass)
        entry = run(engine.find(key, options)) if kept else None
        if entry is None:
            tags = dict(session.versions(options))
            session.note(Outcome("miss", key=key.hex(), dialect=PLAIN.name, tags=tags))
            return None
        session.note(engine.outcome_of(key, entry, options))
        return objects.read(entry.body)

    def put(self, response: Any, **request: Any) -> None:
        """Keep a response for `get`: JSON, or an object of the OpenAI or Anthropic SDK.

        Under `bypass`, and a policy that caches nothing, it is not kept.
        Raises Ambiguous for a request that is not JSON, TypeError for such a response.
        """
        options = self.session.options(self.session.base)
        key = keys.value_key("request", request, tenant=options.tenant)
        body = objects.write(response)
        if options.policy.enabled and not options.bypass:
            plan = Plan(key, PLAIN, Facts(samples=False), options)
            run(self.session.engine.keep(plan, body, THREADS))

    # Control

    def using(
        self,
        *,
        ttl: str | float | None | Unset = UNSET,
        tags: Iterable[str | Document] = (),
        policy: Policy | str | None = None,
        tenant: str | None = None,
        refresh: bool | None = None,
        bypass: bool | None = None,
        only_if_cached: bool | None = None,
        max_age: str | float | None = None,
        sample: int | None = None,
    ) -> AbstractContextManager[None]:
        """Change how calls in this block are treated.

        `refresh` calls upstream and keeps the new answer; `bypass` leaves the cache out;
        `only_if_cached` makes no call: what is not kept is NotCached (a bare transport answers
        504). Nothing older than `max_age` ("1h", seconds) is served. With `sample=3` equal calls
        of this block get three answers in turn, sampled ones too, and the next such block gets the
        same ones in the same order. Tasks made inside inherit all this, plain threads do not: give
        those `contextvars.copy_context().run`.
        """
        return self.session.using(
            overlay(
                ttl=ttl,
                policy=policy,
                tenant=tenant,
                tags=tags,
                refresh=refresh,
                bypass=bypass,
                only_if_cached=only_if_cached,
                max_age=max_age,
                sample=sample,
            )
        )

    def document(self, name: str, content: str | bytes) -> Document:
        """Say what a document holds now, and return it as a tag for what depends on it.

        Whatever was made from another content is dead from now on, in every process; if the content
        is the same, nothing changes. Its name is a tag too: `invalidate(tag=name)` when it is gone.
        """
        return run(self.session.engine.shelf.declare(documents.of(name, content)))

    @property
    def last(self) -> Outcome | None:
        """The outcome of the last call made in this context."""
        return self.session.journal.last

    def recording(self) -> AbstractContextManager[list[Outcome]]:
        """Collect the outcomes of all calls of this block, from every thread and task."""
        return self.session.journal.recording()

    def on(self, event: EventName, hook: Hook) -> None:
        """Call `hook` at each "hit", "miss", "bypass", "stale", "collapsed" or "trouble"."""
        self.session.journal.on(event, hook)

    def stats(self) -> Stats:
        """Count the calls since this cache was made, by their ends, and say how the store does."""
        return self.session.stats()

    def forget(self, *names: str | bytes | Outcome) -> int:
        """Drop entries by key, as `cache.last.key` shows it, or by outcome; return how many."""
        return run(self._keeper.forget([key for name in names for key in _keys(name)]))

    def invalidate(self, *, tag: str) -> None:
        """Make everything that depends on a tag dead, in one step, in every process."""
        run(self._keeper.invalidate(tag))

    @property
    def _keeper(self) -> Store | Sealed:
        engine = self.session.engine
        return engine.store if engine.sealed is None else engine.sealed

    def entries(self) -> Iterable[tuple[bytes, Entry]]:
        """Go through all entries that are alive, in the order of the store.

        With secrets, only those of the tenant in force can be read; the others are passed over.
        """
        engine, tenant = self.session.engine, self.session.options(self.session.base).tenant
        after = b""
        while page := run(engine.store.scan(after)):
            yield from page if engine.sealed is None else engine.sealed.opened(tenant, page)
            after = page[-1][0]

    def close(self) -> None:
        """Close the files and connections of its URL, and the clients that `ask` made.

        A later call opens them again.
        """
        self._asked.close()
        self.session.close()

    async def aclose(self) -> None:
        """Do the same from a task, and wait for the connections of its loop."""
        self._asked.close()
        await self.session.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self.aclose()

    def _options(
        self,
        *,
        policy: Policy | str | None,
        ttl: str | float | None | Unset,
        tags: Iterable[str | Document],
    ) -> Options:
        return overlay(ttl=ttl, policy=policy, tags=tags).over(self.session.base)


def _keys(name: str | bytes | Outcome) -> list[bytes]:
    if not isinstance(name, Outcome):
        return [_key(name)]
    return [bytes.fromhex(key) for key in name.parts or (name.key,) if key]


def _key(name: str | bytes) -> bytes:
    try:
        key = name if isinstance(name, bytes) else bytes.fromhex(name)
    except ValueError:
        key = b""
    if len(key) != keys.LENGTH:
        raise ConfigError(f"{name!r} is not a key: use its 40 hexadecimal digits")
    return key
