"""What may be cached, for how long, and why not. Pure: values in, a reason or None out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache

from askonce.dialects.contract import Facts
from askonce.model import NOTHING, Reason
from askonce.units import SECONDS

WEEK = 7 * SECONDS["d"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be cached, and for how long.

    `ttl` is in seconds, None for no expiry. `sampled` also keeps answers drawn at random,
    `effects` also those of calls with state, effects or live data. `enabled=False` caches nothing.
    """

    ttl: float | None = WEEK
    sampled: bool = False
    effects: bool = False
    enabled: bool = True


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


DISABLED = Reason("policy", "the policy in force caches nothing")
ASKED = Reason("asked", "using(bypass=True) is in force")


def refuse(facts: Facts, policy: Policy, models: Models) -> Reason | None:
    """Say why a call must not be answered from the cache, or None."""
    model = models.real(facts.model)
    if not policy.enabled:
        return DISABLED
    if not policy.effects:
        if facts.effect is not None:
            return facts.effect
        if models.is_live(model):
            return Reason("live", f"{model} looks at the live world; its answers are not kept")
    if facts.samples and not policy.sampled:
        return _sampled(facts, models)
    return None


def _sampled(facts: Facts, models: Models) -> Reason | None:
    if unpinned(facts, models):
        return None
    if facts.temperature is None:
        return Reason("sampled", "temperature is not set; set temperature=0 to cache this call")
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


@dataclass(frozen=True, slots=True)
class Options:
    """How one call is to be treated: what the cache, a wrapped client and `using` say, merged."""

    policy: Policy = field(default_factory=Policy)
    tags: tuple[str, ...] = ()
    tenant: str = ""
    refresh: bool = False
    bypass: bool = False

    def with_tags(self, tags: tuple[str, ...]) -> Options:
        """Return a copy with more tags; none twice, order kept."""
        return replace(self, tags=tuple(dict.fromkeys((*self.tags, *tags))))
