"""The policies of five use cases, as values to read, copy and change.

    FAQ            24 h
    SUMMARY        until the document changes: give the document's tag
    REFORMULATION  1 h; the same question in other words, where the cache looks for these
    CREATIVE       never: answers are meant to differ
    LIVE           never: prices, weather and the like are true for a moment

`dataclasses.replace(FAQ, ttl=72 * 3600)` is one's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from askonce.errors import ConfigError
from askonce.policy import Policy
from askonce.units import SECONDS

FAQ = Policy(ttl=24 * SECONDS["h"], name="faq")
SUMMARY = Policy(ttl=None, semantic=False, name="summary")
REFORMULATION = Policy(ttl=SECONDS["h"], semantic=True, name="reformulation")
CREATIVE = Policy(enabled=False, name="creative")
LIVE = Policy(enabled=False, name="live")

PRESETS: Mapping[str, Policy] = MappingProxyType(
    {policy.name: policy for policy in (FAQ, SUMMARY, REFORMULATION, CREATIVE, LIVE)}
)


def named(policy: Policy | str) -> Policy:
    """Return the preset of a name, or the policy that was given. ConfigError for anything else."""
    if isinstance(policy, Policy):
        return policy
    found = PRESETS.get(policy) if isinstance(policy, str) else None
    if found is None:
        from difflib import get_close_matches

        near = get_close_matches(str(policy), PRESETS, n=1)
        meant = f"did you mean {near[0]!r}? There are" if near else "use Policy(...) or one of"
        raise ConfigError(f"{policy!r} is not a policy: {meant} {', '.join(PRESETS)}")
    return found
