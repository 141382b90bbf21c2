"""The dialect of what is not HTTP: results as `{"value": ...}`, a generator's items as events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from askonce.dialects.contract import Dialect, Facts, Json
from askonce.frames import Event
from askonce.model import Reason

ODD = "odd"
"""The name of an event that stands for an item which could not be written."""

ODD_ITEM = Reason(
    "result", "an item cannot be kept: yield JSON, or annotate the function as Iterator[...] of it"
)


def _matches(path: str) -> bool:  # noqa: ARG001 (no URL leads here)
    return False


def _facts(path: str, body: Json) -> Facts:  # noqa: ARG001 (whoever decorates a function decides)
    return Facts(samples=False)


def _flaw(answer: Json) -> Reason | None:
    return ODD_ITEM if answer.get("odd") else None  # else any value may be the right one


def _whole(events: Sequence[Event]) -> Json:
    items = [orjson.loads(event.data) for event in events]
    return {"items": items, "odd": any(event.name == ODD for event in events)}


def _events(answer: Json, facts: Facts) -> Iterable[Event]:  # noqa: ARG001 (a Dialect's `events`)
    return [Event(orjson.dumps(item).decode()) for item in answer.get("items", ())]


PLAIN = Dialect(
    name="plain", matches=_matches, facts=_facts, flaw=_flaw, whole=_whole, events=_events
)
