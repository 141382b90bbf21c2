"""A run as a picture: the times of each group as bars, ours in colour. Needs matplotlib."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import report
from rows import Row

OURS, THEIRS, BUDGET = "#2a6fdb", "#b8bec8", "#d1495b"


def draw(path: Path, rows: Sequence[Row]) -> Path:
    """Draw the p50 of everything that was timed in microseconds, on a scale of tens."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    # Text stays text, and the same rows make the same file.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "askonce"})
    timed = [row for row in rows if row.unit == "us" and not row.failed]
    groups = [(name, list(members)) for name, members in itertools.groupby(timed, _group)]
    heights = [len(members) + 1.4 for _, members in groups]
    figure, axes = plt.subplots(
        len(groups),
        figsize=(9, 0.26 * sum(heights)),
        gridspec_kw={"height_ratios": heights},
        sharex=True,
        squeeze=False,
    )
    for axis, (name, members) in zip(axes[:, 0], groups, strict=True):
        _panel(axis, name, members)
    axes[-1, 0].set_xlabel("microseconds per call, p50; the red mark is the budget")
    figure.tight_layout(h_pad=0.4)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path


def _group(row: Row) -> str:
    return row.group


def _panel(axis: object, name: str, members: Sequence[Row]) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axis, Axes)
    places = range(len(members))
    colours = [OURS if row.what.startswith("askonce") else THEIRS for row in members]
    axis.barh(places, [row.p50 for row in members], color=colours, height=0.7)
    axis.set_yticks(places, [row.what for row in members], fontsize=7)
    axis.set_ylim(len(members) - 0.5, -0.5)
    axis.set_xscale("log")
    axis.set_xlim(left=1)
    axis.set_title(name, fontsize=8, loc="left", fontweight="bold")
    axis.tick_params(axis="x", labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
    for place, row in zip(places, members, strict=True):
        end, budget = row.p50, row.budget.most
        if budget < float("inf"):
            axis.plot([budget, budget], [place - 0.4, place + 0.4], color=BUDGET, linewidth=2)
            end = max(end, budget) if budget < 2 * end else end
        axis.text(end * 1.06, place, report.number(row.p50), va="center", fontsize=7)
