"""What one place in a program says of how its calls are to be treated, and how places add up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from askonce import units
from askonce.documents import Document
from askonce.errors import ConfigError
from askonce.model import NOTHING, Versions
from askonce.policy import Options, Policy
from askonce.presets import named
from askonce.samples import Samples


class Unset(Enum):
    """Says "not given" where None means something."""

    UNSET = "unset"


UNSET = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Overlay:
    """What a cache, a wrapped client or a `using` block changes of the options below it.

    None says nothing of a matter.
    """

    ttl: float | None | Unset = UNSET
    policy: Policy | None = None
    tags: tuple[str, ...] = ()
    documents: Versions = field(default_factory=lambda: NOTHING)
    tenant: str | None = None
    refresh: bool | None = None
    bypass: bool | None = None
    only_if_cached: bool | None = None
    max_age: float | None = None
    samples: Samples | None = None

    def over(self, below: Options) -> Options:
        """Lay this over other options. Tags add up; everything else replaces."""
        said: dict[str, Any] = {
            name: value for name in _SINGLE if (value := getattr(self, name)) is not None
        }
        if self.policy is not None:
            # A policy that somebody chose by name is not for the rules to choose again.
            said |= {"policy": self.policy, "rules": None}
        if self.tags:
            said["tags"] = tuple(dict.fromkeys((*below.tags, *self.tags)))
            said["documents"] = {**below.documents, **self.documents}
        changed: dict[str, Any] = {} if self.ttl is UNSET else {"ttl": self.ttl}
        if self.samples is not None:
            changed["sampled"] = True
        options = replace(below, **said)
        return _with_policies(options, changed) if changed else options

    def beneath(self, inner: Overlay) -> Overlay:
        """Merge with the overlay of an inner block."""
        said = {
            name: getattr(self if getattr(inner, name) is None else inner, name)
            for name in (*_SINGLE, "policy")
        }
        return Overlay(
            # A policy says how long too, unless its own block says otherwise.
            ttl=self.ttl if inner.ttl is UNSET and inner.policy is None else inner.ttl,
            tags=tuple(dict.fromkeys((*self.tags, *inner.tags))),
            documents={**self.documents, **inner.documents},
            **said,
        )


_SINGLE = ("tenant", "refresh", "bypass", "only_if_cached", "max_age", "samples")


def _with_policies(options: Options, changed: dict[str, Any]) -> Options:
    rules = options.rules and options.rules.changed(**changed)
    return replace(options, policy=replace(options.policy, **changed), rules=rules)


def overlay(
    *,
    ttl: str | float | None | Unset = UNSET,
    policy: Policy | str | None = None,
    tags: Iterable[str | Document] = (),
    tenant: str | None = None,
    refresh: bool | None = None,
    bypass: bool | None = None,
    only_if_cached: bool | None = None,
    max_age: str | float | None = None,
    sample: int | None = None,
) -> Overlay:
    """Read what somebody says of calls. Raises ConfigError for what cannot be meant."""
    if isinstance(tags, str | Document):
        raise ConfigError(f"tags must be a list: write tags=[{tags!r}]")
    given = list(tags)
    names = [tag.tags if isinstance(tag, Document) else (tag,) for tag in given]
    return Overlay(
        ttl=ttl if isinstance(ttl, Unset) else units.seconds(ttl),
        policy=None if policy is None else named(policy),
        tags=tuple(dict.fromkeys(name for some in names for name in some)),
        documents={tag.content: tag.version for tag in given if isinstance(tag, Document)},
        tenant=tenant,
        refresh=refresh,
        bypass=bypass,
        only_if_cached=only_if_cached,
        max_age=units.seconds(max_age),
        samples=None if sample is None else Samples(sample),
    )
