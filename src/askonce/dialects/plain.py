"""The dialect of what is not HTTP: results as `{"value": ...}`, a generator's items as events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from askonce.dialects.contract import Dialect, Facts, Json
from askonce.frames import Event
from askonce.model import Reason


def _matches(path: str) -> bool:  # noqa: ARG001 (no URL leads here)
    return False


def _facts(path: str, body: Json) -> Facts:  # noqa: ARG001 (whoever decorates a function decides)
    return Facts(samples=False)


def _flaw(answer: Json) -> Reason | None:  # noqa: ARG001 (any value may be the right one)
    return None


def _whole(events: Sequence[Event]) -> Json:
    return {"items": [orjson.loads(event.data) for event in events]}


def _events(answer: Json, facts: Facts) -> Iterable[Event]:  # noqa: ARG001 (a Dialect's `events`)
    return [Event(orjson.dumps(item).decode()) for item in answer.get("items", ())]


PLAIN = Dialect(
    name="plain", matches=_matches, facts=_facts, flaw=_flaw, whole=_whole, events=_events
)
