"""A run's rows as JSON, as a Markdown table and on the terminal."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rows import Row

HEAD = "| what | p50 | p99 | mean | times the first | budget | met |"
RULE = "|---|---|---|---|---|---|---|"
METHOD = """Calls are timed one by one, in turns, on one core, each on a fresh request object.
The mean is the median of the rounds' means. A ratio is the p50 over that of the group's first row,
which is ours; or the mean over the mean, where that is said."""


def write(folder: Path, facts: Mapping[str, Any], rows: Sequence[Row]) -> list[Path]:
    """Write `figures.json` and `figures.md`."""
    folder.mkdir(parents=True, exist_ok=True)
    data, table = folder / "figures.json", folder / "figures.md"
    document = {**facts, "rows": [as_json(row) for row in rows]}
    data.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    table.write_text(markdown(facts, rows), "utf-8")
    return [data, table]


def as_json(row: Row) -> dict[str, Any]:
    """Write a row with all that was measured; what has no figure says why."""
    return {
        "group": row.group,
        "what": row.what,
        "unit": row.unit,
        "p50": None if row.failed else row.p50,
        "p99": row.p99,
        "mean": row.mean,
        "times_the_first": row.ratio,
        "times_of": row.ratio_of,
        "budget": row.budget.text(row.unit),
        "met": row.met,
        "calls": row.calls,
        "p50_of_each_round": row.rounds,
        "note": row.note,
        "failed": row.failed,
    }


def markdown(facts: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Write all rows as tables, one for each group."""
    lines = ["# Measured", "", _machine(facts), "", _versions(facts), "", METHOD]
    for group, members in itertools.groupby(rows, key=lambda row: row.group):
        lines += ["", f"## {group}", "", HEAD, RULE]
        lines += map(_table_row, members)
    return "\n".join(lines) + "\n"


def _machine(facts: Mapping[str, Any]) -> str:
    machine, load = facts["machine"], facts["load"]
    quick = ", a quick run" if facts["quick"] else ""
    return (
        f"{facts['began']}, {facts['seconds']} s{quick}. {machine['processor']}, "
        f"{machine['cores']} cores, {machine['memory']}, {machine['system']}, "
        f"{machine['python']}, SQLite {machine['sqlite']}. "
        f"Load at the start {load['start']}, at the end {load['end']}."
    )


def _versions(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in facts["versions"].items()) + "."


def _table_row(row: Row) -> str:
    what = f"{row.what} ({row.note})" if row.note else row.what
    return f"| {what.replace('*', chr(92) + '*')} | {' | '.join(_cells(row))} |"


def _cells(row: Row) -> tuple[str, ...]:
    budget = row.budget.text(row.unit)
    if row.failed:
        return (f"not measured: {row.failed.replace('|', '/')}", "", "", "", budget, "")
    of = " (means)" if row.ratio_of == "mean" else ""
    return (
        f"{number(row.p50)} {row.unit}",
        "" if row.p99 is None else number(row.p99),
        "" if row.mean is None else number(row.mean),
        "" if row.ratio is None else f"{number(row.ratio)} x{of}",
        budget,
        {True: "yes", False: "**no**", None: ""}[row.met],
    )


def line(row: Row) -> str:
    """Write a row for the terminal."""
    p50, p99, mean, ratio, budget, met = _cells(row)
    verdict = f"{budget}: {met.strip('*')}" if met else budget
    figures = f"{p50:>14} {p99:>9} {mean:>9} {ratio:>16}"
    return f"  {row.what[:66]:<66} {figures}  {verdict}".rstrip()


def number(value: float) -> str:
    """Write three digits, or all of a larger number."""
    if value == 0 or math.isnan(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"
