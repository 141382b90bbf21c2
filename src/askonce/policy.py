"""What may be cached, for how long, and why not. Pure: values in, a reason or None out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING

from msgspec import structs

from askonce.dialects.contract import Facts
from askonce.errors import ConfigError
from askonce.model import NOTHING, Reason, Versions
from askonce.units import SECONDS

if TYPE_CHECKING:
    from askonce.rules import Rules
    from askonce.samples import Samples
    from askonce.semantic.tiers import Semantic

WEEK = 7 * SECONDS["d"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be cached, and for how long. All times are in seconds.

    `ttl` is None for no expiry; `jitter` (0 to 1) takes up to that part off it, by the key, so that
    what was kept at one time does not end at one time. `sampled` also keeps answers drawn at
    random, `effects` also those of calls with state, effects or live data; `enabled=False` caches
    nothing. `pin_temperature` sets temperature 0 where a call leaves it out and its model takes it.

    For `stale_while_revalidate` after its end an answer is still served at once, while one call
    fetches the next (RFC 5861, 3). For `stale_if_error` after its end it stands in for a call that
    fails: no connection, 408, 429 or 5xx, or a function that raises (RFC 5861, 4).

    `semantic` asks for answers to the same question in other words, or with False wants none; None
    leaves it to the cache. `name` is told in reasons.
    """

    ttl: float | None = WEEK
    sampled: bool = False
    effects: bool = False
    enabled: bool = True
    semantic: bool | None = None
    pin_temperature: bool = False
    jitter: float = 0.0
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    name: str = ""

    def __post_init__(self) -> None:
        if not _is_number(self.jitter) or not 0 <= self.jitter <= 1:
            raise ConfigError(f"jitter is {self.jitter!r}: use a part of the ttl, from 0 to 1")
        if self.ttl is not None and (not _is_number(self.ttl) or self.ttl <= 0):
            raise ConfigError(f"ttl is {self.ttl!r}: use seconds, such as 72 * 3600, or None")
        for name in ("stale_while_revalidate", "stale_if_error"):
            value = getattr(self, name)
            if not _is_number(value) or value < 0:
                raise ConfigError(f"{name} is {value!r}: use seconds, such as 72 * 3600")

    @property
    def grace(self) -> float:
        """Seconds after its end for which an answer is still of use."""
        return max(self.stale_while_revalidate, self.stale_if_error)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


@dataclass(frozen=True, slots=True)
class Models:
    """What the names of models and hosts tell about them, as shell patterns in lower case."""

    without_temperature: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    usage_on_request: tuple[str, ...] = ()
    """Hosts that add usage to a stream when `stream_options.include_usage` asks for it."""
    temperature_at_rest: tuple[str, ...] = ()
    """Of those without temperature, models that take it while they are not asked to reason."""
    stands_for: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """The model behind a name of one's own, such as an Azure deployment's."""

    @staticmethod
    def shipped() -> Models:
        """Return the table that comes with askonce (`models.toml`)."""
        return _shipped()

    def extended(
        self,
        *,
        without_temperature: tuple[str, ...] = (),
        live: tuple[str, ...] = (),
        usage_on_request: tuple[str, ...] = (),
        stands_for: Mapping[str, str] = NOTHING,
    ) -> Models:
        """Return a copy with more patterns and names."""
        return Models(
            (*self.without_temperature, *without_temperature),
            (*self.live, *live),
            (*self.usage_on_request, *usage_on_request),
            self.temperature_at_rest,
            {**self.stands_for, **stands_for},
        )

    def real(self, name: str) -> str:
        """Return the model that a name stands for, or the name itself."""
        return self.stands_for.get(name, name)

    def pinnable(self, name: str, effort: str = "") -> bool:
        """Say whether this model takes `temperature`. Unknown models count as taking it."""
        if not _matches(name, self.without_temperature):
            return True
        return effort in ("", "none") and _matches(name, self.temperature_at_rest)

    def is_live(self, name: str) -> bool:
        """Say whether this model looks at the live world by itself."""
        return _matches(name, self.live)

    def sends_usage_on_request(self, host: str) -> bool:
        """Say whether this host is known to send usage in a stream on request."""
        return _matches(host, self.usage_on_request)


@cache
def _shipped() -> Models:
    import tomllib
    from importlib.resources import files

    table = tomllib.loads(files("askonce").joinpath("models.toml").read_text("utf-8"))
    return Models(
        tuple(table["without_temperature"]),
        tuple(table["live"]),
        tuple(table["usage_on_request"]),
        tuple(table["temperature_at_rest"]),
    )


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    # "openai/o3:floor" and "ft:o3:team::id" are o3, but "gpt-4o:online" looks at the web.
    full = name.lower().rpartition("/")[2].removeprefix("ft:")
    plain = full.partition(":")[0]
    taken = False
    for pattern in patterns:
        if pattern.startswith("!"):
            taken = taken and not fnmatchcase(plain, pattern[1:])
        else:
            taken = taken or fnmatchcase(full if ":" in pattern else plain, pattern)
    return taken


ASKED = Reason("asked", "using(bypass=True) is in force")


def refuse(facts: Facts, policy: Policy, models: Models) -> Reason | None:
    """Say why a call must not be answered from the cache, or None."""
    model = models.real(facts.model)
    if not policy.enabled:
        return disabled(policy)
    if not policy.effects:
        if facts.effect is not None:
            return structs.replace(facts.effect, never=True)
        if models.is_live(model):
            advice = f"{model} looks at the live world; its answers are not kept"
            return Reason("live", advice, never=True)
    if facts.samples and not policy.sampled:
        return _sampled(facts, models)
    return None


def disabled(policy: Policy) -> Reason:
    """Say that a policy caches nothing. A preset's name is the code."""
    named = f"the policy {policy.name!r}" if policy.name else "the policy in force"
    return Reason(policy.name or "policy", f"{named} caches nothing", never=True)


def _sampled(facts: Facts, models: Models) -> Reason | None:
    if unpinned(facts, models):
        return None
    if facts.temperature is None:
        return Reason(
            "sampled",
            "temperature is not set; set temperature=0 to cache this call, "
            "or use a policy with pin_temperature=True",
        )
    if facts.temperature != 0:
        return Reason("sampled", f"temperature is {facts.temperature:g}; only 0 is cached")
    return None


def unpinned(facts: Facts, models: Models) -> bool:
    """Say whether the answer is drawn at random because its model cannot be told otherwise."""
    # A model without the knob takes 1, its default, as if nothing was said.
    return (
        facts.samples
        and facts.temperature in (None, 1)
        and not models.pinnable(models.real(facts.model), facts.effort)
    )


def pinnable(facts: Facts, policy: Policy, models: Models) -> bool:
    """Say whether temperature 0 is to be set for a call that leaves it out."""
    return (
        policy.pin_temperature
        and facts.samples
        and facts.temperature is None
        and models.pinnable(models.real(facts.model), facts.effort)
    )


@dataclass(frozen=True, slots=True)
class Options:
    """How one call is to be treated: what the cache, a wrapped client and `using` say, merged."""

    policy: Policy = field(default_factory=Policy)
    rules: Rules | None = None
    """What chooses the policy, where nobody chose one by name."""
    tags: tuple[str, ...] = ()
    documents: Versions = field(default_factory=lambda: NOTHING)
    """Of these tags, those of documents, and the version that the caller's content has."""
    tenant: str = ""
    refresh: bool = False
    bypass: bool = False
    only_if_cached: bool = False
    semantic: Semantic | None = None
    """How the cache looks for the same question in other words, if it does."""
    max_age: float | None = None
    """Seconds; what is older is not served to this call."""
    samples: Samples | None = None
    """Gives equal calls slots of their own, in turn."""

    @property
    def takes_rewordings(self) -> bool:
        """Whether the answer to another wording of a question may be served."""
        return self.semantic is not None and self.policy.semantic is not False
