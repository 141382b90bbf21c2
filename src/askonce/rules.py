"""Rules: which policy holds for which request, where the code names none. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from blake3 import blake3
from msgspec import Struct

from askonce.errors import ConfigError
from askonce.model import NOTHING
from askonce.policy import Policy
from askonce.presets import named

MOST_CHANGED = 100
"""Changed copies of rules that are kept at hand, one for each ttl that blocks ask for."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy, or a preset's name, for the requests that fit everything said here.

    `model` and `path` are shell patterns over the model's name (in lower case) and the URL's path.
    `metadata` are fields that the request's `metadata` must have. `system` is a regular expression
    that is searched in the system prompt, where `.` stands for a line's end too.
    """

    policy: Policy | str
    model: str = "*"
    path: str = "*"
    metadata: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    system: str = ""


class Asked(Struct, frozen=True):
    """What rules look at in a request."""

    model: str = ""
    path: str = ""
    metadata: Mapping[str, Any] = NOTHING
    system: str = ""


class Rules:
    """Some rules in order: the first that fits decides. Raises ConfigError for a wrong one."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(
            (replace(rule, policy=named(rule.policy)), _compiled(rule)) for rule in rules
        )
        self._changed: dict[tuple[tuple[str, Any], ...], Rules] = {}

    def policy(self, asked: Asked) -> Policy | None:
        """Return the policy for a request; None when no rule fits."""
        for rule, system in self._rules:
            if _fits(rule, system, asked):
                return named(rule.policy)
        return None

    def changed(self, **fields: Any) -> Rules:
        """Return the same rules with these fields changed in every policy."""
        # A block's rules are asked for at each of its calls.
        name = tuple(sorted(fields.items()))
        known = self._changed.get(name)
        if known is None:
            if len(self._changed) >= MOST_CHANGED:
                self._changed.clear()
            known = self._changed[name] = Rules(
                replace(rule, policy=replace(named(rule.policy), **fields))
                for rule, _ in self._rules
            )
        return known

    @cached_property
    def digest(self) -> str:
        """Tell these rules from others."""
        said = [
            (rule.policy, rule.model, rule.path, sorted(rule.metadata.items()), rule.system)
            for rule, _ in self._rules
        ]
        return blake3(repr(said).encode("utf-8", "surrogatepass")).hexdigest(length=16)

    @cached_property
    def shortest(self) -> float:
        """The shortest ttl of a policy here, in seconds; infinite if none ends."""
        ttls = [named(rule.policy).ttl for rule, _ in self._rules]
        return min((ttl for ttl in ttls if ttl is not None), default=float("inf"))

    @cached_property
    def marks(self) -> bool:
        """Say whether a policy here leaves marks on outcomes."""
        policies = [named(rule.policy) for rule, _ in self._rules]
        return any(policy.semantic is not None or policy.pin_temperature for policy in policies)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rules) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def _fits(rule: Rule, system: re.Pattern[str], asked: Asked) -> bool:
    return (
        fnmatchcase(asked.model.lower(), rule.model.lower())
        and fnmatchcase(asked.path, rule.path)
        and all(asked.metadata.get(name) == value for name, value in rule.metadata.items())
        and (not rule.system or system.search(asked.system) is not None)
    )


def _compiled(rule: Rule) -> re.Pattern[str]:
    try:
        return re.compile(rule.system, re.DOTALL)
    except re.error as error:
        raise ConfigError(f"system={rule.system!r} is not a regular expression: {error}") from error
