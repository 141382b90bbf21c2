"""`askonce why`: which fields make two requests differ."""

from __future__ import annotations

import argparse
from typing import Any

from askonce.commands import request_files, terminal
from askonce.commands.differences import MISSING, Difference, differences, shown
from askonce.commands.request_files import Asked, without_credentials
from askonce.commands.terminal import say, say_json
from askonce.errors import ConfigError


def add(commands: Any) -> None:
    """Add this command to the parser."""
    why = commands.add_parser(
        "why",
        help="say which fields make two requests differ",
        description="Each file holds the body of a request as JSON, or an object of url, headers "
        "and body. Exits with 0 if the two have one key, with 1 if not.",
    )
    why.add_argument("left", metavar="A.json")
    why.add_argument("right", metavar="B.json")
    request_files.add_url_path(why)
    why.add_argument("--json", action="store_true", help="one JSON object")
    why.set_defaults(run=run_why)


def run_why(arguments: argparse.Namespace) -> int:
    """Compare two requests: 0 if they have one key."""
    left = request_files.read(arguments.left, arguments.url_path)
    right = request_files.read(arguments.right, arguments.url_path)
    try:
        found = differences(left, right)
    except RecursionError as error:
        raise ConfigError("the requests are nested too deep to be compared") from error
    equal = bool(left.keys) and left.keys == right.keys
    if arguments.json:
        say_json(
            {
                "equal": equal,
                "a": _as_json(left),
                "b": _as_json(right),
                "differences": [_difference_as_json(one) for one in found],
            }
        )
    else:
        _print(left, right, found, equal=equal)
    return 0 if equal else 1


def _as_json(asked: Asked) -> dict[str, Any]:
    reason = asked.reason
    return {
        "file": asked.file,
        "url": without_credentials(asked.request.url),
        "guessed": asked.guessed,
        "dialect": asked.dialect.name if asked.dialect else None,
        "keys": [key.hex() for key in asked.keys],
        "bypass": {"code": reason.code, "advice": reason.advice} if reason else None,
    }


def _difference_as_json(found: Difference) -> dict[str, Any]:
    sides = {"a": found.left, "b": found.right}
    given = {
        name: without_credentials(value) if found.path == "url" else value
        for name, value in sides.items()
        if value is not MISSING
    }
    return {"path": found.path, **given, "counts": found.counts}


def _print(left: Asked, right: Asked, found: list[Difference], *, equal: bool) -> None:
    for letter, asked in (("A", left), ("B", right)):
        key = f"{len(asked.keys)} keys" if len(asked.keys) > 1 else "no key"
        key = asked.keys[0].hex()[:12] if len(asked.keys) == 1 else key
        guess = " (guessed)" if asked.guessed else ""
        url = terminal.plain(without_credentials(asked.request.url))
        file, method = terminal.visible(asked.file), terminal.plain(asked.request.method)
        say(f"{letter}  {key:<12}  {file}: {method} {url}{guess}")
    if found:
        say()
        room = max(16, (terminal.width() - 46) // 2)
        rows = [_row(one, room) for one in found]
        for line in terminal.table(("FIELD", "IN A", "IN B", ""), rows):
            say(line)
    say()
    say(_verdict(left, right, found, equal=equal))
    for letter, asked in (("A", left), ("B", right)):
        if asked.reason is not None:
            bypassed = "is never answered from the cache" if asked.keys else "has no key"
            say(f"{letter} {bypassed}: {asked.reason}")


def _row(found: Difference, room: int) -> tuple[str, ...]:
    left, right = found.left, found.right
    if found.path == "url":
        left, right = without_credentials(left), without_credentials(right)
    field = _end(terminal.visible(found.path), 32)
    cells = (shown(left, right, room), shown(right, left, room))
    verdict = "counts" if found.counts else "neutral"
    return (field, *(terminal.cut(cell, room) for cell in cells), verdict)


def _end(text: str, most: int) -> str:
    """Shorten a path to so many columns; its end says more than its beginning."""
    if terminal.columns(text) <= most:
        return text
    text = text[-most:]
    while terminal.columns(text) >= most:
        text = text[1:]
    return f"…{text}"


def _verdict(left: Asked, right: Asked, found: list[Difference], *, equal: bool) -> str:
    counting = sum(one.counts for one in found)
    neutral = len(found) - counting
    if equal:
        differing = f": they differ only in what is neutral ({neutral})" if neutral else ""
        return f"The keys are equal{differing}."
    if not left.keys or not right.keys:
        return "There are no two keys to compare."
    said = f"The keys differ. Differences that count: {counting}; neutral: {neutral}."
    if len(left.keys) == len(right.keys) == 1:
        return said
    shared = len({*left.keys} & {*right.keys})
    return f"{said}\nEach input has an entry of its own; shared by both: {shared}."
