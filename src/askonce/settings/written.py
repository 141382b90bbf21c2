"""A value as somebody wrote it: where it stands, and what it must be."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from askonce import units
from askonce.errors import ConfigError
from askonce.settings.lines import Place, lines

T = TypeVar("T")

_SYNTAX = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL)
"""How tomllib says where it stopped; it has attributes for this from Python 3.14 on only."""


@dataclass(frozen=True, slots=True)
class Written:
    """A value, its place, and what tells people where that is.

    Each reader returns the value as what it is for, or raises a ConfigError that says where the
    wrong value stands. The value itself is told only where it can hold no secret.
    """

    value: Any
    told: Callable[[Place], str]
    place: Place = ()

    @property
    def where(self) -> str:
        """The file and the line, or the variable."""
        return self.told(self.place)

    @property
    def name(self) -> str:
        """The name of the key, also for what is in its array; "" where there is none."""
        return next((part for part in reversed(self.place) if isinstance(part, str)), "")

    def wrong(self, says: str) -> ConfigError:
        """Return the error for this value."""
        names_it = not self.name or says.startswith(self.name)
        return ConfigError(f"{self.where}: {says if names_it else f'{self.name}: {says}'}")

    def checked(self, make: Callable[[], T]) -> T:
        """Make something of this value; what is wrong with it is told with its place."""
        try:
            return make()
        except ConfigError as error:
            raise self.wrong(str(error)) from None

    # Readers of single values

    def text(self) -> str:
        """Read text."""
        if not isinstance(self.value, str):
            raise self._not("text in quotes")
        return self.value

    def truth(self) -> bool:
        """Read true or false."""
        if not isinstance(self.value, bool):
            raise self._not("true or false")
        return self.value

    def number(self) -> float:
        """Read a number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self._not("a number")
        return self.value

    def ttl(self) -> float | None:
        """Read a span of time in seconds; "never" ends never, and is None."""
        return None if self.value == "never" else self._span('"24h", or "never" for no expiry')

    def grace(self) -> float:
        """Read a span of time in seconds, or 0."""
        return 0.0 if self.value == 0 and not isinstance(self.value, bool) else self._span('"1d"')

    def size(self) -> int:
        """Read a size in bytes."""
        if isinstance(self.value, bool) or not isinstance(self.value, str | int):
            raise self._not('a size such as "64MB"')
        return self.checked(lambda: units.size(self.value))

    def one_of(self, choices: Mapping[str, T], what: str) -> T:
        """Read the name of one of these."""
        name = self.text()
        if name not in choices:
            raise self.wrong(f"{quoted(name)} is not {what}: {nearest(name, choices)}")
        return choices[name]

    # Readers of arrays and tables

    def texts(self) -> tuple[str, ...]:
        """Read an array of texts."""
        return tuple(item.text() for item in self.items("a list of texts"))

    def items(self, wanted: str) -> list[Written]:
        """Read an array."""
        if not isinstance(self.value, list):
            raise self._not(wanted)
        return [
            Written(item, self.told, (*self.place, number))
            for number, item in enumerate(self.value)
        ]

    def members(self, known: Collection[str] | None = None) -> dict[str, Written]:
        """Read a table; of its names, one that is not known is wrong."""
        if not isinstance(self.value, dict):
            raise self._not("a table")
        members = {
            name: Written(value, self.told, (*self.place, name))
            for name, value in self.value.items()
        }
        for name, member in members.items():
            if known is not None and name not in known:
                said = f"{quoted(name)} is not a setting here: {nearest(name, known)}"
                raise ConfigError(f"{member.where}: {said}")
        return members

    def _span(self, example: str) -> float:
        if isinstance(self.value, bool) or not isinstance(self.value, str | int | float):
            raise self._not(f"a span of time such as {example}")
        return self.checked(lambda: units.seconds(self.value)) or 0.0

    def _not(self, wanted: str) -> ConfigError:
        kinds = {str: "text", bool: "true or false", list: "a list", dict: "a table"}
        numeric = isinstance(self.value, int | float)
        kind = kinds.get(type(self.value), "a number" if numeric else "a date or a time")
        return self.wrong(f"it is {kind}: use {wanted}")


def load(path: Path) -> Written:
    """Read a TOML file. Raises ConfigError where it cannot be, with the line that is wrong."""
    try:
        raw = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}): name a settings file"
        ) from error
    try:
        text = raw.decode().replace("\r\n", "\n")
        table = tomllib.loads(text)
    except UnicodeDecodeError as error:
        at = 1 + raw.count(b"\n", 0, error.start)
        raise ConfigError(f"{path}:{at}: this is not UTF-8: save the file as UTF-8") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deep to be settings") from None
    except ValueError as error:
        said = _SYNTAX.fullmatch(str(error))
        says, line = (said[1], said[2]) if said else (str(error), None)
        # Without a line it is the end of the document that came too soon.
        at = int(line) if line else 1 + text.rstrip().count("\n")
        raise ConfigError(f"{path}:{at}: this is not TOML: {says}") from None
    known = lines(text)
    return Written(table, lambda place: f"{path}:{known[place]}" if place else str(path))


def nearest(name: str, known: Collection[str]) -> str:
    """Say which of the known names was meant, or all of them."""
    names = {name.lower(): name for name in known}
    near = get_close_matches(name.lower(), names, n=1)
    if near:
        return f"did you mean {quoted(names[near[0]])}?"
    return f"use one of {', '.join(names.values())}"


def quoted(name: str) -> str:
    """Write a name as TOML does."""
    return json.dumps(name, ensure_ascii=False)
