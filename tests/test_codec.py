from __future__ import annotations

import os
from pathlib import Path
from zlib import crc32

import cramjam
import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import example, given
from msgspec import structs
from msgspec.structs import fields

from askonce import codec
from askonce.codec import COMPRESSED_FROM, decode, encode
from askonce.model import Entry

GOLDEN = Path(__file__).parent / "golden"
KEY = bytes(range(20))

FULL = Entry(
    body=b'{"choices":[{"message":{"content":"Retrieval, then generation."}}]}',
    created=1764000000.25,
    expires=1764086400.5,
    kind="value",
    status=203,
    headers=(("content-type", "application/json"), ("x-request-id", "req_\u00e9")),
    streamed=True,
    dialect="openai.chat",
    model="gpt-4o-2024-08-06",
    usage={"input": 19, "output": 10, "total": 29},
    tags={"doc:42": bytes(16), "doc:\u00fc": b"\xff" * 16},
    unpinned=True,
)
FULLER = structs.replace(FULL, grace=3600.0)
"""With what was added to FULL since it was written to `golden`."""
LONG = Entry(body=b"data: the same words again and again\n\n" * 400, created=1764000000.0)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
entries = st.builds(
    Entry,
    body=st.binary(max_size=200) | st.binary(max_size=20).map(lambda part: part * 1000),
    created=st.floats(allow_nan=False, allow_infinity=False),
    expires=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    kind=st.sampled_from(["answer", "value", "alias"]),
    status=st.integers(100, 599),
    headers=st.lists(st.tuples(text, text), max_size=4).map(tuple),
    streamed=st.booleans(),
    dialect=text,
    model=text,
    usage=st.dictionaries(text, st.integers(-(2**63), 2**63 - 1), max_size=4),
    tags=st.dictionaries(text, st.binary(max_size=20), max_size=4),
    unpinned=st.booleans(),
    grace=st.floats(0, allow_nan=False, allow_infinity=False),
)


def framed(meta: bytes, body: bytes, *, flags: int = 0, size: int | None = None) -> bytes:
    """Frame anything with the right checksum, as a stranger could."""
    covered = codec._HEADER.pack(
        b"aok", 1, 0, flags, len(meta), len(body) if size is None else size
    )[8:]
    checksum = crc32(covered + meta + body, crc32(KEY))
    return b"aok\x01" + checksum.to_bytes(4, "little") + covered + meta + body


@given(st.binary(max_size=32), entries)
def test_an_entry_comes_back_as_it_was(key, entry):
    assert decode(key, encode(key, entry)) == entry


def test_no_field_of_an_entry_is_left_out():
    plain = Entry(b"", 0.0)
    assert all(getattr(FULLER, field.name) != getattr(plain, field.name) for field in fields(Entry))
    assert decode(KEY, encode(KEY, FULLER)) == FULLER


@given(st.binary(min_size=1, max_size=32), st.binary(max_size=32))
def test_a_value_under_another_key_is_absent(key, other):
    data = encode(key, FULL)
    assert decode(other, data) == (FULL if key == other else None)


@given(st.binary(max_size=300))
@example(b"")
@example(b"aok\x01")
def test_random_bytes_are_absent(data):
    assert decode(KEY, data) is None
    assert decode(KEY, b"aok\x01" + data) is None


@pytest.mark.parametrize("entry", [FULL, LONG], ids=["raw", "compressed"])
def test_every_truncation_is_absent(entry):
    data = encode(KEY, entry)
    assert all(decode(KEY, data[:end]) is None for end in range(len(data)))
    assert decode(KEY, data + b"\0") is None


@pytest.mark.parametrize("entry", [FULL, LONG], ids=["raw", "compressed"])
def test_every_flipped_bit_is_absent(entry):
    data = encode(KEY, entry)
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert decode(KEY, bytes(flipped)) is None


@given(
    st.binary(max_size=300), st.binary(max_size=100), st.integers(0, 255), st.integers(0, 2**64 - 1)
)
@example(b'{"created":1}', cramjam.zstd.compress(bytes(9)).read(), 1, 9)
@example(b'{"created":1,"later":' + b"[" * 100_000, b"", 0, 0)
@example(b'{"created":1,"model":"\xff"}', b"", 0, 0)
@example(b'{"created":1,"status":"200"}', b"", 0, 0)
@example(b'{"created":1,"kind":"future"}', b"", 0, 0)
@example(b"{}", b"", 0, 0)
def test_nonsense_with_a_right_checksum_raises_nothing(meta, body, flags, size):
    entry = decode(KEY, framed(meta, body, flags=flags, size=size))
    assert entry is None or entry.created == 1


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_absent(version):
    data = bytearray(encode(KEY, FULL))
    data[3] = version
    assert decode(KEY, bytes(data)) is None


def test_an_unknown_flag_is_from_the_future():
    assert decode(KEY, framed(b'{"created":1}', b"x")) == Entry(b"x", 1.0)
    assert decode(KEY, framed(b'{"created":1}', b"x", flags=2)) is None


def test_members_that_a_later_release_adds_are_passed_over():
    data = framed(b'{"created":1,"cost":0.25,"later":{"deep":[1]}}', b"x")
    assert decode(KEY, data) == Entry(b"x", 1.0)


def test_a_body_that_unpacks_to_more_than_it_says_is_absent():
    bomb = bytes(cramjam.zstd.compress(bytes(10**8)))
    assert len(bomb) < 10_000
    for size in (0, 1, 10**8 - 1, 10**8 + 1, 2**28 + 1, 2**63):
        assert decode(KEY, framed(b'{"created":1}', bomb, flags=1, size=size)) is None


def test_long_text_is_compressed_and_noise_is_not():
    assert len(encode(KEY, LONG)) < len(LONG.body) // 10
    noise = os.urandom(COMPRESSED_FROM * 4)
    data = encode(KEY, Entry(noise, 1.0))
    assert data.endswith(noise)
    assert decode(KEY, data) == Entry(noise, 1.0)


def test_text_that_is_not_unicode_is_a_value_error():
    with pytest.raises(ValueError, match="surrogates"):
        encode(KEY, Entry(b"", 1.0, model="\ud800"))


def test_meta_is_plain_json_without_defaults():
    data = encode(KEY, Entry(b"body", 1.5, tags={"doc:42": b"\x01"}))
    meta = data[codec._HEADER.size : -len(b"body")]
    assert msgspec.json.decode(meta) == {"created": 1.5, "tags": {"doc:42": "AQ=="}}


@pytest.mark.parametrize(("name", "entry"), [("entry-1-raw.bin", FULL), ("entry-1-zstd.bin", LONG)])
def test_entries_that_the_first_release_wrote_stay_readable(name, entry):
    assert decode(KEY, (GOLDEN / name).read_bytes()) == entry
