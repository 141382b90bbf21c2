"""What is kept of an answer, and why an answer is not kept. Pure: values in, an entry out."""

from __future__ import annotations

from askonce import dialects, replay
from askonce.dialects import prose
from askonce.dialects.plain import PLAIN
from askonce.model import Entry, Reason, Response, Versions
from askonce.plans import Plan
from askonce.policy import Options

UNTAGGED = Reason("store", "the store could not tell the versions of the tags")
"""Without them nothing could be invalidated."""


def of_answer(plan: Plan, response: Response, versions: Versions, now: float) -> Entry | Reason:
    """Make the entry of a response, or say why it is not worth keeping."""
    if not replay.is_answer(response.status):
        return replay.status_reason(response.status)
    answer = replay.answer(plan.dialect, response)
    if answer is None:
        return Reason("incomplete", "the answer did not come to its end")
    flaw = plan.dialect.flaw(answer)
    if flaw is not None:
        return flaw
    if not knows(versions, plan.options):
        return UNTAGGED
    return Entry(
        # What one caller calls itself is not for the next one.
        body=replay.unlabelled(plan.dialect, response, plan.facts.labels).body,
        created=now,
        expires=_expires(plan.key, plan.options, now),
        status=response.status,
        headers=tuple(item for item in response.headers if item[0] in replay.KEPT_HEADERS),
        streamed=response.streamed,
        dialect=plan.dialect.name,
        model=plan.facts.model,
        usage=plan.dialect.usage(answer),
        unpinned=plan.unpinned,
        tags=dict(versions),
        grace=plan.options.policy.grace,
    )


def of_value(plan: Plan, body: bytes, versions: Versions, now: float) -> Entry:
    """Make the entry of an answer that somebody gave us."""
    expires = _expires(plan.key, plan.options, now)
    return Entry(body, now, expires, "value", dialect=plan.dialect.name, tags=versions)


def alias(plan: Plan, now: float) -> Entry:
    """Make an entry that points at a plan's, and ends as one that is made now."""
    expires, grace = _expires(plan.key, plan.options, now), plan.options.policy.grace
    return Entry(body=plan.key, created=now, expires=expires, kind="alias", grace=grace)


def pointer(target: bytes, like: Entry) -> Entry:
    """Make an entry that points at a key, and ends as another one does."""
    return Entry(target, like.created, like.expires, kind="alias", grace=like.grace)


def said(entry: Entry) -> str:
    """Return what the answer of an entry says, as text; empty for what cannot be read."""
    dialect = PLAIN if entry.dialect == PLAIN.name else dialects.named(entry.dialect)
    answer = None if dialect is None else replay.answer(dialect, entry.response)
    return "\n".join(prose.said(answer))


def knows(versions: Versions, options: Options) -> bool:
    """Say whether the version of every tag is known."""
    return all(versions.get(tag) for tag in options.tags)


def _expires(key: bytes, options: Options, now: float) -> float | None:
    policy = options.policy
    if policy.ttl is None:
        return None
    # A part of the ttl that is the same whenever and wherever this key is kept.
    part = int.from_bytes(key[-8:], "big") / 2**64 if policy.jitter else 0.0
    return now + policy.ttl * (1 - policy.jitter * part)
