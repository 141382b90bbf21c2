"""`askonce simulate`: what semantic lookup would do to a stream of questions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from askonce.commands import labelled
from askonce.commands.terminal import Progress, padded, say, say_json, table
from askonce.errors import ConfigError
from askonce.model import Reason
from askonce.searching import check_models
from askonce.semantic.evidence import Threshold

STATIC = (0.8, 0.85, 0.9, 0.92, 0.95, 0.97)
"""Thresholds to compare with. GPTCache is shipped with 0.8, RedisVL with 0.9."""
DELTAS = (0.01, 0.02, 0.05)
PARTS = 10

_EXAMPLE = '{"text": "How do I reset my password?", "answer_id": "reset"}'


def add(commands: Any) -> None:
    """Add this command to the parser."""
    simulate = commands.add_parser(
        "simulate",
        help="see what semantic lookup would do to a stream of questions",
        description="Replays questions in their order; what is asked upstream is judged by its "
        "answer_id. Beside it the same with static thresholds on the cosine, and with the "
        "error-bound method of the literature (arXiv 2502.03771).",
    )
    simulate.add_argument(
        "stream", type=Path, metavar="STREAM", help=f"JSON lines, also .gz, such as {_EXAMPLE}"
    )
    simulate.add_argument(
        "--max-error", type=float, default=0.01, metavar="PART", help="as in Semantic: 0.01"
    )
    simulate.add_argument(
        "--audits", type=float, default=0.05, metavar="PART", help="as in Semantic: 0.05"
    )
    simulate.add_argument(
        "--judge-noise",
        type=float,
        default=0.0,
        metavar="PART",
        help="how often the judge says the opposite of the truth: 0",
    )
    simulate.add_argument(
        "--no-calibration",
        action="store_true",
        help="begin without the shipped evidence, as with calibration=None",
    )
    simulate.add_argument("--seed", type=int, default=1, help="of audits and noise: 1")
    simulate.add_argument("--json", action="store_true", help="one JSON object")
    simulate.set_defaults(run=run_simulate)


def run_simulate(arguments: argparse.Namespace) -> int:
    """Replay a stream and say what came of it."""
    for name in ("max_error", "audits", "judge_noise"):
        value = getattr(arguments, name)
        if not 0.0 <= value < 1.0 or (name == "max_error" and not value):
            raise ConfigError(f"--{name.replace('_', '-')} {value}: use a part, such as 0.01")
    questions = labelled.read(arguments.stream, labelled.Question, _EXAMPLE)
    check_models()
    from askonce.commands import simulated

    plan = simulated.Plan(
        max_error=arguments.max_error,
        audits=arguments.audits,
        noise=arguments.judge_noise,
        calibrated=not arguments.no_calibration,
        seed=arguments.seed,
        static=STATIC,
        deltas=DELTAS,
    )
    with Progress("reading the questions") as progress:
        vectors = simulated.vectors([it.text for it in questions], progress.at)
    with Progress("replaying") as progress:
        found = simulated.run(questions, vectors, plan, progress.at)
    if arguments.json:
        say_json(_shown(found, arguments))
    else:
        _tell(found, arguments)
    return 0


def _shown(found: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "max_error": arguments.max_error,
        "audits": arguments.audits,
        "judge_noise": arguments.judge_noise,
        "calibration": None if arguments.no_calibration else "shipped",
        "embedder": found.embedder,
        **found.whole.shown(),
        "tiers": dict(found.whole.tiers),
        "last_half": found.last_half.shown(),
        "over_time": [{"until": until, **part.shown()} for until, part in found.over_time],
        "lanes": {name: _lane(it) for name, it in found.openings.items()},
        "compared": [
            {"method": method, "setting": setting, **whole.shown(), "last_half": half.shown()}
            for method, setting, whole, half in found.compared
        ],
    }


def _lane(opening: Threshold | Reason) -> dict[str, Any]:
    if isinstance(opening, Reason):
        return {"closed": str(opening)}
    return {
        "from_score": round(opening.score, 4),
        "bound": round(opening.bound, 6),
        "wrong": opening.wrong,
        "of": opening.of,
    }


def _opening(opening: Threshold | Reason) -> str:
    if isinstance(opening, Reason):
        return f"closed, {opening}"
    return (
        f"open from {opening.score:.3f} on: {opening.wrong} of {opening.of} were wrong, so at most "
        f"{opening.bound:.2%} are"
    )


def _tell(found: Any, arguments: argparse.Namespace) -> None:
    whole = found.whole
    low, high = whole.interval
    say(
        f"{whole.questions:,} questions at max_error {arguments.max_error:g}: "
        f"{whole.hit_rate:.1%} are hits, and {whole.error:.2%} of the hits are wrong "
        f"({low:.2%} to {high:.2%})"
    )
    by_tier = ", ".join(f"{count:,} {tier}" for tier, count in whole.tiers.items())
    say(f"hits by tier: {by_tier or 'none'}")
    for name, it in found.openings.items():
        say(f"lane of {padded(name, 10)} {_opening(it)}")
    say()
    rows = [_row(f"until {until:,}", part) for until, part in found.over_time]
    rows.append(_row("last half", found.last_half))
    for line in table(("OVER TIME", *_RATES), rows, right=range(1, 5)):
        say(line)
    say()
    rows = [_row(f"askonce {arguments.max_error:g}", whole, found.last_half)]
    rows += [_row(f"{name} {it:g}", one, half) for name, it, one, half in found.compared]
    for line in table(("COMPARED", *_RATES, "HITS, LAST HALF", "WRONG"), rows, right=range(1, 7)):
        say(line)


_RATES = ("HITS", "WRONG", "AT LEAST", "AT MOST")


def _row(name: str, whole: Any, half: Any = None) -> tuple[str, ...]:
    low, high = whole.interval
    cells = [f"{whole.hit_rate:.1%}", f"{whole.error:.2%}", f"{low:.2%}", f"{high:.2%}"]
    if half is not None:
        cells += [f"{half.hit_rate:.1%}", f"{half.error:.2%}"]
    return (name, *cells)
