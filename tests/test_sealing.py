from __future__ import annotations

import base64
import os
import secrets as system
import subprocess
import sys

import hypothesis.strategies as st
import pytest
from hypothesis import given
from msgspec import structs
from msgspec.structs import fields

from askonce.codec import decode, encode
from askonce.errors import ConfigError
from askonce.model import Entry
from askonce.sealing import MAKE, Sealer, read

ONE, TWO, THREE = (bytes((n,)) * 32 for n in (1, 2, 3))
KEY, OTHER = bytes(range(20)), bytes(range(1, 21))
TENANTS = ("", "acme", "acme2", "\u00fcber", "\ud800")

# Made once: their keys are derived for a secret and a tenant, and hypothesis asks often.
SEALER = Sealer(ONE)
VERSIONS = SEALER.versions(["doc:42", "doc:43"], {
    name: os.urandom(16) for tag in ("doc:42", "doc:43") for name in SEALER.tags(tag)
})  # fmt: skip
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
    tags=VERSIONS,
    unpinned=True,
    grace=3600.0,
)
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
    tags=st.dictionaries(text, st.binary(max_size=20) | st.sampled_from([*VERSIONS.values()])),
    unpinned=st.booleans(),
)
keys = st.binary(min_size=20, max_size=20)
tenants = st.sampled_from(TENANTS)


def opened(sealer, tenant, name, sealed):
    """What a sealer makes of a value as it lies in a store: bytes, framed by the codec."""
    entry = decode(name, encode(name, sealed))
    return sealer.open(tenant, name, entry)


# There and back


@given(tenants, keys, entries)
def test_what_was_sealed_opens_as_it_was(tenant, key, entry):
    name, sealed = SEALER.seal(tenant, key, entry)
    assert opened(SEALER, tenant, name, sealed) == (key, entry)


def test_no_field_of_an_entry_is_left_out():
    plain = Entry(b"", 0.0)
    assert all(getattr(FULL, field.name) != getattr(plain, field.name) for field in fields(Entry))
    assert opened(SEALER, "acme", *SEALER.seal("acme", KEY, FULL)) == (KEY, FULL)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 70_000, 3_000_000])
def test_bodies_of_any_size_open(size):
    entry = Entry(os.urandom(size // 2) + bytes(size - size // 2), 1.0)
    assert opened(SEALER, "", *SEALER.seal("", KEY, entry)) == (KEY, entry)


def test_text_is_packed_before_it_is_sealed():
    name, sealed = SEALER.seal("", KEY, LONG)
    assert len(encode(name, sealed)) < len(LONG.body) // 10


def test_text_that_is_not_unicode_is_a_value_error():
    with pytest.raises(ValueError, match="surrogates"):
        SEALER.seal("", KEY, Entry(b"", 1.0, model="\ud800"))


# What is plain to see


def test_only_times_and_sealed_tags_are_plain_to_see():
    name, sealed = SEALER.seal("acme", KEY, FULL)
    tags = {tag for plain in ("doc:42", "doc:43") for tag in SEALER.tags(plain)}
    assert set(sealed.tags) == tags
    seen = Entry(sealed.body, FULL.created, FULL.expires, "sealed", tags=sealed.tags, grace=3600.0)
    assert sealed == seen
    assert len(name) == 20
    data = name + encode(name, sealed)
    for said in (b"Retrieval", b"gpt-4o", b"doc:4", b"openai", b"req_", KEY, KEY.hex().encode()):
        assert said not in data


def test_what_is_sealed_twice_looks_different_each_time():
    (name, one), (same, two) = (SEALER.seal("", KEY, FULL) for _ in range(2))
    assert name == same
    assert one.body != two.body
    assert one.body[:12] != two.body[:12]


def test_names_cannot_be_told_without_the_secret():
    assert not {*Sealer(ONE).names(KEY)} & {*Sealer(TWO).names(KEY)}
    assert not {*Sealer(ONE).tags("doc:42")} & {*Sealer(TWO).tags("doc:42")}


@given(keys, keys)
def test_keys_have_names_of_their_own(key, other):
    assert (SEALER.names(key) == SEALER.names(other)) == (key == other)


def test_tags_have_names_of_their_own():
    tags = ["doc:42", "doc:4", "", "2", "doc:42\0", "d\u00f6c", "x" * 1000, "\ud800", "\ud801"]
    names = [SEALER.tags(tag) for tag in tags]
    assert len(set(names)) == len(tags)
    assert all(len(name) == 40 for some in names for name in some)


def test_a_tag_and_a_key_of_the_same_bytes_have_different_names():
    assert SEALER.tags("a-key-that-is-text!!")[0] != SEALER.names(b"a-key-that-is-text!!")[0].hex()


def test_secrets_are_not_shown():
    sealer = Sealer({"": b"everybody's secret of 32 bytes!!", "acme": ONE})
    sealer.seal("acme", KEY, FULL)
    shown = f"{sealer} {sealer!r} {sealer._tenants} {sealer.flight('acme', KEY)!r}"
    assert "everybody" not in shown
    assert "\\x" not in shown


# Forged, moved, damaged


@pytest.mark.parametrize("entry", [FULL, Entry(b"", 1.0), LONG], ids=["full", "empty", "long"])
def test_every_flipped_bit_of_a_value_makes_it_a_miss(entry):
    name, sealed = SEALER.seal("acme", KEY, entry)
    for bit in range(len(sealed.body) * 8):
        body = bytearray(sealed.body)
        body[bit // 8] ^= 1 << bit % 8
        assert SEALER.open("acme", name, structs.replace(sealed, body=bytes(body))) is None


def test_every_truncation_of_a_value_makes_it_a_miss():
    name, sealed = SEALER.seal("acme", KEY, FULL)
    for end in range(len(sealed.body)):
        assert SEALER.open("acme", name, structs.replace(sealed, body=sealed.body[:end])) is None
    assert SEALER.open("acme", name, structs.replace(sealed, body=sealed.body + b"\0")) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"created": 0.0},
        {"expires": None},
        {"expires": 9e9},
        {"tags": {}},
        {"tags": {SEALER.tags("doc:42")[0]: bytes(16)}},
        {"kind": "answer"},
        {"kind": "value"},
        {"kind": "alias"},
        {"status": 500},
        {"headers": (("a", "b"),)},
        {"streamed": True},
        {"dialect": "plain"},
        {"model": "gpt-4o"},
        {"usage": {"total": 1}},
        {"unpinned": True},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_fact_that_was_changed_makes_a_value_a_miss(changed):
    """Else who can write to the store could take the tags off an answer that was invalidated."""
    name, sealed = SEALER.seal("acme", KEY, FULL)
    assert SEALER.open("acme", name, sealed) is not None
    assert SEALER.open("acme", name, structs.replace(sealed, **changed)) is None


def test_a_value_under_another_name_is_a_miss():
    name, sealed = SEALER.seal("acme", KEY, FULL)
    other = SEALER.names(OTHER)[0]
    assert SEALER.open("acme", other, sealed) is None
    assert opened(SEALER, "acme", other, sealed) is None


@pytest.mark.parametrize("own", [{}, {"acme": TWO}, {"acme": ONE}], ids=["derived", "own", "equal"])
def test_a_value_of_another_tenant_is_a_miss(own):
    sealer = Sealer({"": ONE, **own})
    for tenant in TENANTS:
        name, sealed = sealer.seal(tenant, KEY, FULL)
        for other in TENANTS:
            found = sealer.open(other, name, sealed)
            assert found == ((KEY, FULL) if other == tenant else None)


@given(st.binary(max_size=200), tenants)
def test_random_bytes_are_a_miss(body, tenant):
    assert SEALER.open(tenant, SEALER.names(KEY)[0], Entry(body, 1.0, kind="sealed")) is None


def test_a_plain_entry_under_a_sealed_name_is_a_miss():
    """Who can write to the store cannot answer for us."""
    assert SEALER.open("", SEALER.names(KEY)[0], FULL) is None


def test_a_value_whose_inside_is_damaged_is_a_miss(monkeypatch):
    """Sealed right, but by a release whose codec wrote what this one does not read."""
    monkeypatch.setattr("askonce.sealing.encode", lambda key, entry: b"aok\x63" + bytes(40))
    name, sealed = SEALER.seal("", KEY, FULL)
    assert SEALER.open("", name, sealed) is None


# Rotation


def test_an_older_secret_still_opens_and_the_newest_seals():
    old, both, new = Sealer(ONE), Sealer([TWO, ONE]), Sealer(TWO)
    name, sealed = old.seal("acme", KEY, FULL)
    assert both.names(KEY) == (*new.names(KEY), *old.names(KEY))
    assert both.open("acme", name, sealed) == (KEY, FULL)
    assert new.open("acme", name, sealed) is None

    name, sealed = both.seal("acme", KEY, FULL)
    assert name == new.names(KEY)[0]
    assert new.open("acme", name, sealed) == (KEY, FULL)
    assert old.open("acme", name, sealed) is None


def test_a_tenants_own_secret_is_rotated_by_itself():
    old, both = Sealer({"": ONE, "acme": TWO}), Sealer({"": ONE, "acme": [THREE, TWO]})
    name, sealed = old.seal("acme", KEY, FULL)
    assert both.names(KEY) == old.names(KEY)
    assert both.open("acme", name, sealed) == (KEY, FULL)
    name, sealed = both.seal("acme", KEY, FULL)
    assert old.open("acme", name, sealed) is None
    assert Sealer({"": ONE, "acme": THREE}).open("acme", name, sealed) == (KEY, FULL)


def test_dropping_a_tenants_own_secret_makes_its_entries_unreadable_and_no_others():
    before, after = Sealer({"": ONE, "acme": TWO}), Sealer(ONE)
    acme, other = before.seal("acme", KEY, FULL), before.seal("other", OTHER, LONG)
    assert all(after.open(tenant, *acme) is None for tenant in TENANTS)
    assert after.open("other", *other) == (OTHER, LONG)


def test_an_entry_depends_on_its_tags_under_every_secret():
    """So a process that knows only one of the secrets can still invalidate it."""
    both = Sealer([TWO, ONE])
    names = both.tags("doc:42")
    assert names == (*Sealer(TWO).tags("doc:42"), *Sealer(ONE).tags("doc:42"))
    versions = both.versions(["doc:42"], {names[0]: b"new", names[1]: b"old"})
    name, sealed = both.seal("", KEY, Entry(b"", 1.0, tags=versions))
    assert sealed.tags == {names[0]: b"new", names[1]: b"old"}
    assert both.open("", name, sealed) == (KEY, Entry(b"", 1.0, tags=versions))


def test_a_tag_of_which_a_name_was_not_seen_has_no_version():
    both = Sealer([TWO, ONE])
    assert both.versions(["doc:42"], {both.tags("doc:42")[0]: b"new"}) == {}


# Flights


def test_a_flight_is_named_and_sealed_alike_by_all_who_know_the_secret_and_by_nobody_else():
    ours, theirs = (Sealer({"": ONE, "acme": TWO}).flight("acme", KEY) for _ in range(2))
    assert ours.name == theirs.name
    assert len(ours.name) == 20
    assert theirs.open(b"1", ours.seal(b"1", b"piece")) == b"piece"
    for sealer, tenant, key in (
        (Sealer({"": ONE, "acme": THREE}), "acme", KEY),
        (Sealer({"": ONE, "acme": TWO}), "", KEY),
        (Sealer({"": ONE, "acme": TWO}), "acme", OTHER),
    ):
        other = sealer.flight(tenant, key)
        assert other.name != ours.name
        assert other.open(b"1", ours.seal(b"1", b"piece")) is None


def test_a_piece_opens_in_its_own_place_only_and_unchanged_only():
    cover = SEALER.flight("", KEY)
    sealed = cover.seal(b"1", b"piece")
    assert b"piece" not in sealed
    assert cover.open(b"2", sealed) is None
    assert all(cover.open(b"1", sealed[:end]) is None for end in range(len(sealed)))
    for at in range(len(sealed)):
        assert cover.open(b"1", sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1 :]) is None


# What may be given as secrets


@pytest.mark.parametrize(
    "given",
    [
        ONE,
        [ONE],
        (ONE,),
        [ONE, ONE],
        base64.urlsafe_b64encode(ONE).decode(),
        base64.b64encode(ONE).decode().rstrip("="),
        f" {base64.b64encode(ONE).decode()}\n",
        [base64.b64encode(ONE).decode()],
        {"": ONE},
        {"": [ONE]},
    ],
)
def test_one_secret_may_be_given_in_many_ways(given):
    assert read(given) == {"": (ONE,)}


def test_base64_of_both_alphabets_is_read():
    secret = b"\xfb\xff\xbf" * 10 + b"\xff\xfe"
    plain, urlsafe = base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode()
    assert plain != urlsafe
    assert read(f"{plain},{urlsafe}") == {"": (secret,)}


def test_text_may_hold_several_divided_by_commas():
    both = ", ".join(base64.urlsafe_b64encode(secret).decode() for secret in (TWO, ONE))
    assert read(both) == {"": (TWO, ONE)}
    assert read({"": ONE, "acme": both}) == {"": (ONE,), "acme": (TWO, ONE)}


def test_what_the_advice_prints_is_a_secret():
    program = MAKE.partition('"')[2].rstrip('"')
    made = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert len(read(made)[""][0]) == 32


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "secret 1 has 0 bytes"),
        ([], "there are no secrets"),
        ({"": ONE, "acme": []}, "there are no secrets of tenant 'acme'"),
        (b"short and secret", "secret 1 has 16 bytes, and a secret has 32"),
        ([ONE, b"short and secret"], "secret 2 has 16 bytes"),
        ({"": ONE, "acme": b"short and secret"}, "secret 1 of tenant 'acme' has 16 bytes"),
        ("not base64, and secret", "secret 1 is not base64"),
        ("\u00fcber secret", "secret 1 is not base64"),
        (system.token_hex(32), "secret 1 has 48 bytes"),
        ([7], "secret 1 is neither bytes nor text"),
        ({"acme": ONE}, "those of everybody else too, under ''"),
        ({}, "those of everybody else too, under ''"),
    ],
)
def test_wrong_secrets_say_what_to_do_and_show_nothing(given, said):
    with pytest.raises(ConfigError, match=said) as raised:
        Sealer(given)
    assert "and secret" not in str(raised.value)
    assert "make one with python -c" in str(raised.value) or "under ''" in str(raised.value)


def test_without_cryptography_secrets_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(ConfigError, match=r'pip install "askonce\[encryption\]"'):
        Sealer(ONE)
