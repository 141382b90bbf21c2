"""On which line of a TOML document each key stands. Pure.

tomllib tells values without their places, and tomlkit keeps none either
(https://github.com/python-poetry/tomlkit/issues/55). This is no second parser: it is given only
what tomllib has read, so it need not know what is wrong.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import TypeAlias

Place: TypeAlias = tuple[str | int, ...]
"""Where a value stands: the names of keys, and numbers (from 0) in arrays."""

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'  # up to two quotes may stand before the closing three
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'"
    r"|\#[^\n]*"
    r"|[\[\]{},.=\n]"
    r"|[^\s\[\]{},.=\#\"']+",
    re.DOTALL,
)


def lines(text: str) -> Mapping[Place, int]:
    """Return the line (from 1) of each key and each array's item, by its place.

    `text` is a document that tomllib reads, its lines ended by LF. A table that is spoken of on
    several lines stands on the first of them.
    """
    return _Walk(text).found


class _Walk:
    """One walk through a document, from its first token to its last."""

    def __init__(self, text: str) -> None:
        self.found: dict[Place, int] = {}
        self._tokens: list[tuple[str, int]] = []
        self._next = 0
        self._tables: dict[Place, int] = {}
        """How many tables each array of tables has so far."""
        line, counted = 1, 0
        for token in _TOKEN.finditer(text):
            line, counted = line + text.count("\n", counted, token.start()), token.start()
            if not token[0].startswith("#"):
                self._tokens.append((token[0], line))
        self._tokens.append(("", line))
        self._document()

    def _document(self) -> None:
        table: Place = ()
        while opening := self._after_blank_lines():
            if opening == "[":
                table = self._header()
            else:
                self._member(table)

    def _header(self) -> Place:
        line = self._tokens[self._next][1]
        self._take()
        is_array = self._tokens[self._next][0] == "["
        if is_array:
            self._take()
        *outer, last = self._names()
        place: Place = ()
        for name in outer:
            place = (*place, name)
            self.found.setdefault(place, line)
            if place in self._tables:
                place = (*place, self._tables[place] - 1)
        place = (*place, last)
        self.found.setdefault(place, line)
        if is_array:
            number = self._tables.get(place, 0)
            self._tables[place] = number + 1
            place = (*place, number)
            self.found[place] = line
            self._take()
        self._take()
        return place

    def _member(self, table: Place) -> None:
        line = self._tokens[self._next][1]
        for name in self._names():
            table = (*table, name)
            self.found.setdefault(table, line)
        self._take()
        self._value(table)

    def _value(self, place: Place) -> None:
        opening = self._take()
        if opening not in ("[", "{"):
            # A float or a date is several tokens here.
            while self._tokens[self._next][0] not in ("", ",", "]", "}", "\n"):
                self._take()
            return
        number = 0
        while self._after_blank_lines() not in ("]", "}"):
            if opening == "{":
                self._member(place)
            else:
                self.found[*place, number] = self._tokens[self._next][1]
                self._value((*place, number))
                number += 1
            if self._after_blank_lines() == ",":
                self._take()
        self._take()

    def _names(self) -> list[str]:
        names = [_name(self._take())]
        while self._tokens[self._next][0] == ".":
            self._take()
            names.append(_name(self._take()))
        return names

    def _take(self) -> str:
        self._next += 1
        return self._tokens[self._next - 1][0]

    def _after_blank_lines(self) -> str:
        while self._tokens[self._next][0] == "\n":
            self._next += 1
        return self._tokens[self._next][0]


def _name(token: str) -> str:
    if not token.startswith(("'", '"')):
        return token
    name: str = tomllib.loads(f"name = {token}")["name"]
    return name
