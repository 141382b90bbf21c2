"""`askonce eval`: what each tier would do to labelled pairs of questions."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from askonce.commands import labelled
from askonce.commands.terminal import Progress, plain, say, say_json, table
from askonce.errors import ConfigError
from askonce.model import Reason
from askonce.searching import check_models

MAX_ERRORS = (0.01, 0.005, 0.02, 0.05, 0.1)
"""The default of `Semantic` first."""
COSINES = (0.9, 0.8, 0.85, 0.88, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98)
"""What RedisVL is shipped with first, then that of GPTCache."""

_EXAMPLE = '{"q1": "What is a cache?", "q2": "Define cache", "label": 1}'
_HEADER = ("TIER", "AT", "COVERAGE", "FALSE HITS", "PRECISION", "AT LEAST", "AT MOST")


def add(commands: Any) -> None:
    """Add this command to the parser."""
    evaluate = commands.add_parser(
        "eval",
        help="see what each tier would do to labelled pairs of questions",
        description="q1 is kept, q2 asked. `canonical` serves by canonical text alone, `direct` by "
        "all that serves a pair at a max_error (canonical text, guards, verifier), `cosine` by a "
        "threshold, as others do. Coverage is the part of the pairs with label 1 that is served, "
        "false hits that of the pairs with label 0.",
    )
    evaluate.add_argument(
        "pairs", type=Path, metavar="PAIRS", help=f"JSON lines, also .gz, such as {_EXAMPLE}"
    )
    evaluate.add_argument(
        "--list", type=int, default=20, metavar="N", help="show so many false hits of a tier: 20"
    )
    evaluate.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw the tiers, as .svg or .png (matplotlib)"
    )
    evaluate.add_argument("--json", action="store_true", help="one JSON object")
    evaluate.set_defaults(run=run_eval)


def run_eval(arguments: argparse.Namespace) -> int:
    """Evaluate the tiers and say what came of it."""
    pairs = labelled.read(arguments.pairs, labelled.Pair, _EXAMPLE)
    if arguments.plot is not None:
        _check_plot(arguments.plot)
    check_models()
    from askonce.commands import evaluated

    with Progress("reading the pairs") as progress:
        found = evaluated.run(pairs, MAX_ERRORS, COSINES, progress.at)
    if arguments.plot is not None:
        _plot(found.results, arguments.plot)
    if arguments.json:
        positives = sum(it.label for it in pairs)
        results = [it.shown() for it in found.results]
        say_json({"pairs": len(pairs), "positives": positives, "results": results})
    else:
        _tell(pairs, found, arguments.list)
    return 0


def _tell(pairs: Sequence[labelled.Pair], found: Any, most: int) -> None:
    positives = sum(it.label for it in pairs)
    say(f"{len(pairs):,} pairs, {positives:,} of them with one answer")
    if isinstance(found.opening, Reason):
        say(f"the verifier serves nothing at max_error {MAX_ERRORS[0]:g}: {found.opening}")
    say()
    rows = [
        (
            it.tier,
            f"{it.operating_point:g}",
            f"{it.coverage:.2%}",
            f"{it.false_hit_rate:.3%}",
            f"{it.precision:.2%}",
            f"{it.interval[0]:.2%}",
            f"{it.interval[1]:.2%}",
        )
        for it in found.results
    ]
    for line in table(_HEADER, rows, right=range(1, 7)):
        say(line)
    told = set()
    for it in found.results:
        if it.tier not in told and it.tier != "cosine" and it.false:
            say()
            say(f"{len(it.false):,} false hits, {it.tier} at {it.operating_point:g}:")
            for place in it.false[:most]:
                say(f"  {plain(pairs[place].q1)}")
                say(f"  {plain(pairs[place].q2)}")
                say()
        told.add(it.tier)


def _check_plot(path: Path) -> None:
    if path.suffix not in (".svg", ".png"):
        raise ConfigError(f"{path} is no picture: name a file that ends in .svg or .png")
    try:
        import matplotlib  # noqa: F401 (only whether it is there)
    except ImportError as missing:
        raise ConfigError("--plot needs matplotlib: pip install matplotlib") from missing


def _plot(results: Sequence[Any], path: Path) -> None:
    """Draw coverage over false hits: what is to the left and above is better."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for tier in dict.fromkeys(it.tier for it in results):
        points = sorted((it.false_hit_rate, it.coverage) for it in results if it.tier == tier)
        axes.plot([100 * x for x, _ in points], [100 * y for _, y in points], "o-", label=tier)
    axes.set_xlabel("pairs with different answers that are served, %")
    axes.set_ylabel("pairs with one answer that are served, %")
    axes.set_xscale("symlog", linthresh=0.1)
    axes.legend()
    figure.savefig(path)
