"""`askonce tune`: which max_error one's own traffic allows, from what was judged so far."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from askonce.commands import labelled
from askonce.commands.amounts import counted
from askonce.commands.labelled import Judged
from askonce.commands.terminal import plain, say, say_json, table
from askonce.model import Reason
from askonce.semantic import bounds, calibration, evidence
from askonce.semantic.evidence import Evidence, Tally, Threshold

MAX_ERRORS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
BANDS = (0, 5, 10, 15, 20, 25, 30, 35, 40, 45)
"""The first cell of each band that is drawn."""
WIDEST = 40
SHOWN = 5

_EXAMPLE = '{"lane": "agreement", "score": 0.97, "right": true, "old": "...", "new": "..."}'


def add(commands: Any) -> None:
    """Add this command to the parser."""
    tune = commands.add_parser(
        "tune",
        help="see which max_error your own traffic allows",
        description="Reads what Semantic(log=FILE) has written: each judged hit or miss with its "
        "lane and score. Nothing is changed.",
    )
    tune.add_argument("log", type=Path, metavar="LOG", help=f"JSON lines such as {_EXAMPLE}")
    tune.add_argument("--json", action="store_true", help="one JSON object")
    tune.set_defaults(run=run_tune)


def run_tune(arguments: argparse.Namespace) -> int:
    """Recommend a max_error, and say why."""
    judged = labelled.read(arguments.log, Judged, _EXAMPLE)
    known = Evidence(evidence.read(counts(judged)), calibration.shipped())
    recommended = recommend(known)
    if arguments.json:
        say_json(
            {
                "judged": len(judged),
                "recommended": recommended,
                "lanes": {lane: _lane_shown(known, lane) for lane in evidence.LANES},
            }
        )
        return 0
    say(f"{counted(len(judged), 'judged pair')}")
    for lane in evidence.LANES:
        _tell_lane(lane, known, [it for it in judged if it.lane == lane])
    say()
    if recommended is None:
        say("Recommended: leave the default. There is not enough evidence yet for a word on this")
        say("traffic alone; go on collecting, with shadow=True if nothing may be served so far.")
    else:
        say(f"Recommended: Semantic(max_error={recommended:g}), the strictest bound at which your")
        say("own traffic, without the shipped counts, opens every lane that it can open at all.")
    return 0


def counts(judged: Iterable[Judged]) -> dict[str, int]:
    """Count as the ledger does."""
    found: dict[str, int] = {}
    for it in judged:
        name = evidence.names(it.lane, it.score, it.right)
        found[name] = found.get(name, 0) + 1
    return found


def recommend(known: Evidence) -> float | None:
    """Return the least max_error at which all lanes are open that are open at any."""
    own = Evidence(known.own)
    opened = {
        point: {
            lane for lane in evidence.LANES if isinstance(own.threshold(lane, point), Threshold)
        }
        for point in MAX_ERRORS
    }
    most = opened[MAX_ERRORS[-1]]
    return next((it for it in MAX_ERRORS if most and opened[it] >= most), None)


def _points(
    known: Evidence, lane: str
) -> list[tuple[float, Threshold | Reason, Threshold | Reason]]:
    own = Evidence(known.own)
    return [(it, own.threshold(lane, it), known.threshold(lane, it)) for it in MAX_ERRORS]


def _lane_shown(known: Evidence, lane: str) -> dict[str, Any]:
    tally = known.own.get(lane, Tally())
    return {
        "right": sum(tally.right),
        "wrong": sum(tally.wrong),
        "points": [
            {"max_error": it, "own": _opening_shown(own), "with_shipped": _opening_shown(pooled)}
            for it, own, pooled in _points(known, lane)
        ],
    }


def _opening_shown(opening: Threshold | Reason) -> Mapping[str, Any]:
    if isinstance(opening, Reason):
        return {"closed": str(opening)}
    return {
        "from_score": round(opening.score, 4),
        "bound": round(opening.bound, 6),
        "wrong": opening.wrong,
        "of": opening.of,
    }


def _tell_lane(lane: str, known: Evidence, judged: Sequence[Judged]) -> None:
    tally = known.own.get(lane, Tally())
    right, wrong = sum(tally.right), sum(tally.wrong)
    say()
    say(f"Lane of {lane}: {right:,} right, {wrong:,} wrong")
    if not judged:
        return
    for line in _bars(tally):
        say(line)
    rows = [
        (f"{point:g}", *_cells(own, right + wrong), *_cells(pooled, None))
        for point, own, pooled in _points(known, lane)
    ]
    header = ("MAX_ERROR", "OWN: FROM", "AT MOST WRONG", "SERVES", "WITH SHIPPED: FROM", "AT MOST")
    for line in table(header, rows, right=range(1, 6)):
        say(line)
    worst = sorted((it for it in judged if not it.right and it.new), key=lambda it: -it.score)
    if worst:
        say("wrong with the highest scores:")
    for it in worst[:SHOWN]:
        say(f"  {it.score:.3f}  {plain(it.old)}")
        say(f"         {plain(it.new)}")


def _cells(opening: Threshold | Reason, offered: int | None) -> tuple[str, ...]:
    if isinstance(opening, Reason):
        return (opening.code, "") if offered is None else (opening.code, "", "")
    found = (f"{opening.score:.3f}", f"{opening.bound:.2%}")
    return found if offered is None else (*found, f"{opening.of / offered:.0%}")


def _bars(tally: Tally) -> list[str]:
    """Draw how many were judged in each band of scores, the wrong ones as x."""
    found = []
    most = 0
    for begin, end in zip(BANDS, (*BANDS[1:], evidence.CELLS), strict=True):
        right, wrong = sum(tally.right[begin:end]), sum(tally.wrong[begin:end])
        found.append((begin, right, wrong))
        most = max(most, right + wrong)
    lines = []
    for begin, right, wrong in found:
        if not right + wrong:
            continue
        length = max(1, round(WIDEST * (right + wrong) / most))
        bad = min(length, -(-length * wrong // (right + wrong)))
        high = bounds.upper(wrong, right + wrong)
        lines.append(
            f"  from {evidence.least(begin):.4f}  {'x' * bad + '█' * (length - bad):{WIDEST}}  "
            f"{wrong:,} of {right + wrong:,} wrong, at most {high:.1%}"
        )
    return lines
