"""`askonce config check`: the settings in force, and what they make of a request."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from askonce import Cache, settings
from askonce.commands import request_files, terminal
from askonce.commands.forecasts import Forecast, forecast, policy_name
from askonce.commands.opening import place
from askonce.commands.terminal import say, say_json, visible
from askonce.overlays import Unset
from askonce.policy import Models, Options, Policy
from askonce.rules import Rule
from askonce.settings import Settings
from askonce.units import BYTES, SECONDS


def add(commands: Any) -> None:
    """Add this command to the parser."""
    config = commands.add_parser("config", help="explain the settings")
    below = config.add_subparsers(metavar="COMMAND", required=True)
    check = below.add_parser(
        "check",
        help="say what the settings are, or what they make of a request",
        description="Without a request: the settings in force, and where each was made. With one, "
        "in a file as `askonce why` reads it: whether its answer is cached, and why. Exits with 0 "
        "if it is, with 1 if not.",
    )
    check.add_argument("request", nargs="?", metavar="REQUEST.json")
    check.add_argument(
        "--config",
        metavar="FILE",
        help="the settings (default: ASKONCE_CONFIG, or else askonce.toml in this folder)",
    )
    request_files.add_url_path(check)
    check.add_argument("--json", action="store_true", help="one JSON object")
    check.set_defaults(run=run_check)


def run_check(arguments: argparse.Namespace) -> int:
    """Explain the settings; with a request, 0 if it would be cached and 1 if not."""
    said = settings.read(arguments.config)
    # What a program would have. Nothing is opened.
    options = Cache.from_settings(said).session.base
    if arguments.request is None:
        _show(list(_settings(said, options)), as_json=arguments.json)
        return 0
    asked = request_files.read(arguments.request, arguments.url_path)
    found = forecast(said, options, asked)
    if arguments.json:
        say_json(_forecast_as_json(found))
    else:
        _print(found)
    return 0 if found.reason is None else 1


# A request


def _forecast_as_json(found: Forecast) -> dict[str, Any]:
    asked, plan, reason = found.asked, found.plan, found.reason
    return {
        "file": asked.file,
        "url": request_files.without_credentials(asked.request.url),
        "guessed": asked.guessed,
        "dialect": asked.dialect.name if asked.dialect else None,
        "model": found.model,
        "cached": reason is None,
        "bypass": {"code": reason.code, "advice": reason.advice} if reason else None,
        "policy": found.policy,
        "rule": found.rule,
        "from": found.said_by,
        "keys": [part.key.hex() for part in found.parts],
        "ttl": plan.options.policy.ttl if plan else None,
        "pinned": any(part.pinned for part in found.parts),
        "unpinned": any(part.unpinned for part in found.parts),
        "exact_only": found.exact_only,
    }


def _print(found: Forecast) -> None:
    asked = found.asked
    guess = " (guessed)" if asked.guessed else ""
    url = terminal.plain(request_files.without_credentials(asked.request.url))
    say(f"{visible(asked.file)}: {terminal.plain(asked.request.method)} {url}{guess}")
    say()
    for name, value in _lines(found):
        if value:
            say(f"{name:<13}{visible(value)}")


def _lines(found: Forecast) -> Iterator[tuple[str, str]]:
    yield "cached", "no" if found.reason else "yes"
    yield "reason", str(found.reason or "")
    keys = [part.key.hex() for part in found.parts]
    many = f"{len(keys)}, one for each input: --json lists them"
    yield "key", many if len(keys) > 1 else "".join(keys)
    yield "dialect", found.asked.dialect.name if found.asked.dialect else ""
    yield "model", found.model
    rule = f"rule {found.rule}, " if found.rule else ""
    yield "policy", f"{found.policy} ({rule}{found.said_by})"
    if found.plan is None:
        return
    ttl, *more = _described(found.plan.options.policy)
    yield "ttl", ttl.removeprefix("ttl ")
    yield "also", ", ".join(more)
    yield "matches", "equal requests only: semantic lookup is not set" if found.exact_only else ""
    if any(part.pinned for part in found.parts):
        yield "temperature", "set to 0, as the request says nothing of it"
    elif any(part.unpinned for part in found.parts):
        yield "temperature", "the model has none to set to 0: its answer is marked unpinned"


# The settings


@dataclass(frozen=True, slots=True)
class _Row:
    """A setting: as people and as programs read it."""

    name: str
    said_by: str
    text: str
    value: Any


def _show(rows: list[_Row], *, as_json: bool) -> None:
    if as_json:
        said = [{"name": row.name, "value": row.value, "from": row.said_by} for row in rows]
        say_json({"settings": said})
        return
    cells = [(visible(row.name), visible(row.said_by), visible(row.text)) for row in rows]
    for line in terminal.table(("SETTING", "FROM", "VALUE"), cells):
        say(line)


def _settings(said: Settings, options: Options) -> Iterator[_Row]:
    url = said.url if said.url.startswith("memory:") else place(said.url).shown
    yield _Row("url", said.where("url"), url, url)
    ttl, policy = options.policy.ttl, options.policy
    by = "policy" if isinstance(said.ttl, Unset) else "ttl"
    yield _Row("ttl", said.where(by), _span(ttl), ttl)
    name, described = policy_name(said, said.policy), ", ".join(_described(policy))
    yield _Row("policy", said.where("policy"), f"{name}: {described}", asdict(policy))
    yield _semantic(said)
    yield _Row("tenant", said.where("tenant"), said.tenant or "none", said.tenant)
    for one in ("memory", "disk"):
        size = getattr(said, one)
        yield _Row(one, said.where(one), _exactly(size, BYTES), size)
    yield _Row("strict", said.where("strict"), "true" if said.strict else "false", said.strict)
    sealed = "hidden" if said.secrets else None
    yield _Row("secrets", said.where("secrets"), sealed or "none", sealed)
    for name, own in said.policies.items():
        where = f"policies.{name}"
        yield _Row(where, said.where(where), ", ".join(_described(own)), asdict(own))
    for number, rule in enumerate(said.rules):
        where = said.where(f"rules[{number}]")
        yield _Row(f"rule {number + 1}", where, _rule(said, rule), _rule_as_json(said, rule))
    yield from _models(said)


def _semantic(said: Settings) -> _Row:
    chosen = {} if said.semantic is None else asdict(said.semantic)
    text = ", ".join(f"{name} {str(value).lower()}" for name, value in chosen.items())
    return _Row("semantic", said.where("semantic"), text or "none", chosen or None)


def _models(said: Settings) -> Iterator[_Row]:
    """Tell what was added to the table of models that comes with askonce."""
    models, shipped = said.models or Models.shipped(), Models.shipped()
    for name in ("without_temperature", "live", "usage_on_request"):
        where = f"models.{name}"
        if where in said.places:
            more = list(getattr(models, name)[len(getattr(shipped, name)) :])
            yield _Row(where, said.where(where), ", ".join(more), more)
    if (where := "models.stands_for") in said.places:
        names = dict(models.stands_for)
        text = ", ".join(f"{name} = {model}" for name, model in names.items())
        yield _Row(where, said.where(where), text, names)


def _described(policy: Policy) -> list[str]:
    """Say what a policy does: its ttl first, then what it does otherwise than the default."""
    if not policy.enabled:
        return ["caches nothing"]
    switches = ("sampled", "effects", "pin_temperature")
    semantic: dict[bool | None, list[str]] = {True: ["semantic"], False: ["not semantic"]}
    spans = ("stale_while_revalidate", "stale_if_error")
    return [
        f"ttl {_span(policy.ttl)}",
        *(name for name in switches if getattr(policy, name)),
        *semantic.get(policy.semantic, []),
        *([f"jitter {policy.jitter:g}"] if policy.jitter else []),
        *(f"{name} {_span(span)}" for name in spans if (span := getattr(policy, name))),
    ]


def _rule(said: Settings, rule: Rule) -> str:
    asked = [f"{name} {it}" for name in ("model", "path") if (it := getattr(rule, name)) != "*"]
    asked += [f"metadata {name} = {value}" for name, value in rule.metadata.items()]
    asked += [f"system {rule.system}"] if rule.system else []
    return f"{policy_name(said, rule.policy)} for {', '.join(asked) or 'all'}"


def _rule_as_json(said: Settings, rule: Rule) -> dict[str, Any]:
    return {
        "policy": policy_name(said, rule.policy),
        "model": rule.model,
        "path": rule.path,
        "metadata": dict(rule.metadata),
        "system": rule.system,
    }


def _span(seconds: float | None) -> str:
    return "never" if seconds is None else _exactly(seconds, SECONDS)


def _exactly(amount: float, units: Mapping[str, float]) -> str:
    """Write an amount in its largest whole unit, as a file may say it."""
    for unit, size in sorted(units.items(), key=lambda pair: -pair[1]):
        if amount >= size and amount % size == 0:
            return f"{int(amount // size)}{_AS_WRITTEN.get(unit, unit)}"
    return f"{amount:g}"


_AS_WRITTEN = {"kb": "kB", "mb": "MB", "gb": "GB", "kib": "KiB", "mib": "MiB", "gib": "GiB"}
