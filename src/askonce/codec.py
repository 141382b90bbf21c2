"""Entries as bytes: our own framing, checked whole, readable for ever.

    magic "aok" · version · checksum · flags · length of meta · length of body · meta · body

Integers are little-endian. The checksum (CRC-32) covers the key and all that follows it, so a value
filed under another key is as good as damaged. Meta is JSON without its defaults; members that a
later release adds are passed over. The body is raw, or zstd where that saves space.
"""

from __future__ import annotations

from struct import Struct
from typing import Literal
from zlib import crc32

import cramjam
import msgspec

from askonce.model import Entry

MAGIC = b"aok"
VERSION = 1
ZSTD = 1
"""The flag of a body that is compressed. Any other flag is from the future."""

# zstd takes about 10 us to undo at any size, as long as reading a raw entry of 4 KB from SQLite
# takes in all. Above 4 KB it halves text, takes a third of JSON floats and a tenth of event
# streams, and fewer pages to read pay some of that back.
COMPRESSED_FROM = 4096
# Level 1 packs within 3 % of level 3 on answers of 1 to 30 KB, in two thirds of the time.
LEVEL = 1
# Some hundred bytes of zstd can stand for gigabytes. Larger bodies are kept raw.
LARGEST_COMPRESSED = 2**28

_HEADER = Struct("<3sBIBIQ")
_COVERED = 8  # where the checksum ends and what it covers begins


class _Meta(msgspec.Struct, omit_defaults=True, gc=False):
    created: float
    expires: float | None = None
    kind: Literal["answer", "value", "alias", "sealed"] = "answer"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    streamed: bool = False
    dialect: str = ""
    model: str = ""
    usage: dict[str, int] = {}
    tags: dict[str, bytes] = {}
    unpinned: bool = False
    grace: float | None = None


_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(_Meta).decode


def encode(key: bytes, entry: Entry) -> bytes:
    """Write an entry for the place `key`. ValueError if its text is not Unicode."""
    meta = _write(
        _Meta(
            entry.created,
            entry.expires,
            entry.kind,
            entry.status,
            entry.headers,
            entry.streamed,
            entry.dialect,
            entry.model,
            dict(entry.usage),
            dict(entry.tags),
            entry.unpinned,
            entry.grace or None,
        )
    )
    # What is sealed was packed before, and is noise now.
    flags, body = _pack(entry.body) if entry.kind != "sealed" else (0, entry.body)
    frame = _HEADER.pack(MAGIC, VERSION, 0, flags, len(meta), len(entry.body))[_COVERED:]
    checksum = crc32(body, crc32(meta, crc32(frame, crc32(key))))
    return b"".join((MAGIC, bytes((VERSION,)), checksum.to_bytes(4, "little"), frame, meta, body))


def decode(key: bytes, data: bytes) -> Entry | None:
    """Read what `encode` wrote for `key`; None for anything damaged, foreign or from the future."""
    if len(data) < _HEADER.size:
        return None
    magic, version, checksum, flags, meta_size, body_size = _HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION or flags & ~ZSTD:
        return None
    if crc32(memoryview(data)[_COVERED:], crc32(key)) != checksum:
        return None
    start = _HEADER.size + meta_size
    try:
        meta = _read(data[_HEADER.size : start])
        body = _unpack(data[start:], body_size) if flags else data[start:]
    # A right checksum over nonsense was written by a stranger: RecursionError is a deep meta.
    except (ValueError, RecursionError, msgspec.MsgspecError, cramjam.DecompressionError):
        return None
    if len(body) != body_size:
        return None
    return Entry(
        body,
        meta.created,
        meta.expires,
        meta.kind,
        meta.status,
        meta.headers,
        meta.streamed,
        meta.dialect,
        meta.model,
        meta.usage,
        meta.tags,
        meta.unpinned,
        meta.grace or 0.0,
    )


def _pack(body: bytes) -> tuple[int, bytes]:
    if COMPRESSED_FROM <= len(body) <= LARGEST_COMPRESSED:
        packed = bytes(cramjam.zstd.compress(body, level=LEVEL))
        if len(packed) < len(body) * 7 // 8:
            return ZSTD, packed
    return 0, body


def _unpack(packed: bytes, size: int) -> bytes:
    if size > LARGEST_COMPRESSED:
        raise ValueError("larger than anything we compress")
    # `decompress` would grow as far as the data says; this stops at the size that was written.
    body = bytearray(size)
    return bytes(body) if cramjam.zstd.decompress_into(packed, body) == size else b""
