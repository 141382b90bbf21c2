"""Entries as lines of JSON, for export and import: readable, checked, exact both ways.

The first line says what follows: `{"format":"askonce-export","version":1,...}`. Each further line
is an entry. A body is `text` where it is UTF-8, else `base64`; that of an alias is its `target`.
Tags go by name only: their versions mean nothing to another store.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

import msgspec

from askonce import dialects, keys, replay
from askonce.dialects.plain import PLAIN
from askonce.documents import CONTENT, SIZE
from askonce.model import Entry

FORMAT = "askonce-export"
VERSION = 1
"""Raised when older releases could misread what is written."""

Hexadecimal = Annotated[str, msgspec.Meta(pattern=f"^[0-9a-f]{{{2 * keys.LENGTH}}}$")]


class LineError(ValueError):
    """A line cannot be read. The message says what is wrong with it, and what to do."""


class Head(msgspec.Struct):
    """The first line. Members that a later release adds are passed over."""

    format: str
    version: int
    askonce: str = ""
    written: float = 0.0


class Line(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """One entry."""

    key: Hexadecimal
    created: float
    expires: float | None = None
    kind: Literal["answer", "value", "alias", "sealed"] = "answer"
    dialect: str = ""
    model: str = ""
    status: Annotated[int, msgspec.Meta(ge=100, le=599)] = 200
    headers: tuple[tuple[str, str], ...] = ()
    streamed: bool = False
    unpinned: bool = False
    usage: dict[str, int] = {}
    tags: tuple[str, ...] = ()
    text: str | None = None
    base64: str | None = None
    target: Hexadecimal | None = None
    grace: float | None = None
    contents: dict[str, Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]] = {}
    """The tags of documents' contents, with the digests of these."""


_write = msgspec.json.Encoder().encode
_read_head = msgspec.json.Decoder(Head).decode
_read_line = msgspec.json.Decoder(Line).decode


def write_head(version: str, now: float) -> bytes:
    """Write the first line."""
    return _write(Head(FORMAT, VERSION, version, now)) + b"\n"


def check_head(line: bytes) -> None:
    """Raise LineError unless this release can read what follows the first line."""
    try:
        head = _read_head(line)
    except msgspec.MsgspecError:
        head = Head("", 0)
    if head.format != FORMAT:
        raise LineError("this is not an export of askonce; write one with `askonce export FILE`")
    if head.version > VERSION:
        raise LineError(
            f"the export has version {head.version}, and this askonce reads {VERSION}; "
            "pip install --upgrade askonce"
        )


def write_entry(key: bytes, entry: Entry) -> bytes:
    """Write one entry or alias."""
    line = Line(
        key.hex(),
        entry.created,
        entry.expires,
        entry.kind,
        entry.dialect,
        entry.model,
        entry.status,
        entry.headers,
        entry.streamed,
        entry.unpinned,
        dict(entry.usage),
        tuple(sorted(tag for tag in entry.tags if not tag.endswith(CONTENT))),
    )
    line.grace = entry.grace or None
    line.contents = {
        tag: version[-SIZE:].hex() for tag, version in entry.tags.items() if tag.endswith(CONTENT)
    }
    if entry.kind == "alias":
        line.target = entry.body.hex()
    else:
        try:
            line.text = entry.body.decode()
        except UnicodeDecodeError:
            line.base64 = base64.b64encode(entry.body).decode()
    return _write(line) + b"\n"


def read_entry(text: bytes) -> tuple[bytes, Entry]:
    """Read one entry; its tags have no versions yet. Raises LineError for anything else."""
    try:
        line = _read_line(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LineError(f"{error}; correct the line or take it out") from error
    entry = Entry(
        body=_body(line),
        created=line.created,
        expires=line.expires,
        kind=line.kind,
        status=line.status,
        headers=line.headers,
        streamed=line.streamed,
        dialect=line.dialect,
        model=line.model,
        usage=line.usage,
        unpinned=line.unpinned,
        tags=dict.fromkeys(line.tags, b"")
        | {tag: bytes.fromhex(digest) for tag, digest in line.contents.items()},
        grace=line.grace or 0.0,
    )
    dialect = PLAIN if line.dialect == PLAIN.name else dialects.named(line.dialect)
    if dialect is not None and replay.answer(dialect, entry.response) is None:
        raise LineError(f"the body is no whole answer of {dialect.name}; take the line out")
    return bytes.fromhex(line.key), entry


def _body(line: Line) -> bytes:
    given = [body for body in (line.text, line.base64, line.target) if body is not None]
    if len(given) != 1 or (line.kind == "alias") != (line.target is not None):
        raise LineError("an alias has a `target`, any other entry `text` or `base64`; correct it")
    if line.target is not None:
        return bytes.fromhex(line.target)
    if line.text is not None:
        return line.text.encode()
    try:
        return base64.b64decode(given[0], validate=True)
    except binascii.Error as error:
        raise LineError(f"the base64 is wrong ({error}); correct it or take it out") from error
