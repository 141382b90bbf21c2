"""Entries sealed for a store that others may read: keyed names, AES-256-GCM. Pure.

Names belong to the cache, contents to the tenant. Entries and tags are named by keyed hashes under
the secrets of everybody, so whoever forgets or invalidates need not know whose data it is. What an
entry holds opens with the secrets of its tenant alone.

Every key that is used is derived: HKDF-SHA256 gives one for each use of a secret (and each tenant),
keyed BLAKE3 gives each name a key of its own for its contents. So a value that was moved to another
name, or is of another tenant, does not open.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from blake3 import blake3

from askonce.codec import decode, encode
from askonce.errors import ConfigError
from askonce.keys import LENGTH
from askonce.model import Entry, Versions

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Secret: TypeAlias = bytes | str
"""32 random bytes, or their base64."""

SomeSecrets: TypeAlias = Secret | Sequence[Secret]
"""Secrets, the newest first. Text may hold several, divided by commas."""

Secrets: TypeAlias = SomeSecrets | Mapping[str, SomeSecrets]
"""Secrets of everybody, or by tenant; those of `""` are of all who have none of their own."""

SIZE = 32

MAKE = 'python -c "import secrets; print(secrets.token_urlsafe(32))"'
"""A command that prints a secret."""

MOST_TENANTS = 10_000
"""Tenants whose derived keys are kept at hand, some 3 MB. Deriving those of another takes 11 us."""

# Random nonces of 96 bits are safe for 2**32 messages of one key (NIST SP 800-38D, 8.3). A key
# seals the entries of one name only, or the pieces told of one call's streams, so it comes nowhere
# near, however many entries a secret has. AES-GCM-SIV would bear a nonce that comes twice, but
# needs OpenSSL 3.2, which Debian 12 and Ubuntu 24.04 do not have.
_NONCE = 12
_LEAST = _NONCE + 16
"""Bytes of nonce and tag: what sealed nothing takes."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(dict[str, bytes]).decode


class Sealer:
    """Names, seals and opens what a cache keeps.

    `secrets` are given the newest first: the newest names and seals, all of them find and open.
    Raises ConfigError for secrets that are not 32 bytes each, and without `cryptography`.
    """

    def __init__(self, secrets: Secrets) -> None:
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as missing:
            raise ConfigError(
                'secrets need cryptography: pip install "askonce[encryption]"'
            ) from missing
        self._secrets = read(secrets)
        self._cipher = AESGCM
        self._wrong = InvalidTag
        everybody = self._secrets[""]
        self._naming = [_derived(secret, "entries") for secret in everybody]
        self._tagging = [_derived(secret, "tags") for secret in everybody]
        self._tenants: dict[str, _Keys] = {}

    # Names

    def names(self, key: bytes) -> tuple[bytes, ...]:
        """Return the names of a key, one for each secret, the newest first."""
        return tuple([blake3(key, key=naming).digest(LENGTH) for naming in self._naming])

    def tags(self, tag: str) -> tuple[str, ...]:
        """Return the names of a tag, one for each secret, the newest first."""
        text = tag.encode("utf-8", "surrogatepass")
        return tuple([blake3(text, key=tagging).hexdigest(LENGTH) for tagging in self._tagging])

    def version(self, content: bytes) -> bytes:
        """Return the version (16 bytes) of a tag that stands for some content.

        It is of the newest secret, so a document counts as changed once when that changes.
        """
        return blake3(content, key=self._tagging[0]).digest(16)

    def versions(self, tags: Iterable[str], seen: Versions) -> Versions:
        """Put what was seen of the names of each tag together, as the version of the tag.

        So an entry depends on a tag under every secret, and a process that knows only one of them
        can still invalidate it. A tag of which a name was not seen has no version.
        """
        known = {tag: {name: seen.get(name) for name in self.tags(tag)} for tag in tags}
        return {tag: _pack(names) for tag, names in known.items() if None not in names.values()}

    # Entries

    def seal(self, tenant: str, key: bytes, entry: Entry) -> tuple[bytes, Entry]:
        """Return the name of a key, and what may be kept there for all to see.

        ValueError if the entry's text is not Unicode.
        """
        name = self.names(key)[0]
        cipher = self._cipher(_under(self._keys(tenant).contents[0], name))
        nonce = os.urandom(_NONCE)
        body = nonce + cipher.encrypt(nonce, key + encode(key, entry), None)
        return name, _outside(entry, body)

    def open(self, tenant: str, name: bytes, sealed: Entry) -> tuple[bytes, Entry] | None:
        """Return the key and the entry that were sealed; None for anything else than just that."""
        body = sealed.body
        if sealed.kind != "sealed" or len(body) < _LEAST:
            return None
        for contents in self._keys(tenant).contents:
            cipher = self._cipher(_under(contents, name))
            try:
                plain = cipher.decrypt(body[:_NONCE], memoryview(body)[_NONCE:], None)
            except self._wrong:
                continue
            key = plain[:LENGTH]
            entry = decode(key, plain[LENGTH:])
            # What is plain to see is said inside too: without this, who can write to the store
            # could take the tags off an entry, and no invalidation would reach it.
            return None if entry is None or _outside(entry, body) != sealed else (key, entry)
        return None

    def flight(self, tenant: str, key: bytes) -> Cover:
        """Return the name of a flight, and what seals its stream.

        Its name is of the tenant's newest secret: who cannot read its answer does not wait for it.
        """
        flights = self._keys(tenant).flights
        name = _under(flights, b"name" + key)[:LENGTH]
        return Cover(name, self._cipher(_under(flights, b"pieces" + key)), self._wrong)

    def _keys(self, tenant: str) -> _Keys:
        known = self._tenants.get(tenant)
        if known is None:
            if len(self._tenants) >= MOST_TENANTS:
                self._tenants.clear()
            own = self._secrets.get(tenant, self._secrets[""])
            contents = tuple([_derived(secret, "contents", tenant) for secret in own])
            known = _Keys(contents, _derived(own[0], "flights", tenant))
            self._tenants[tenant] = known
        return known


@dataclass(frozen=True, slots=True, repr=False)
class _Keys:
    """The keys of a tenant: of contents, one for each secret, and of flights."""

    contents: tuple[bytes, ...]
    flights: bytes


class Cover:
    """Seals the stream of a flight, piece by piece, for others who know its tenant's secret."""

    def __init__(self, name: bytes, cipher: AESGCM, wrong: type[Exception]) -> None:
        self.name = name
        """Under which the flight is known to other processes: 20 bytes."""
        self._cipher = cipher
        self._wrong = wrong

    def seal(self, place: bytes, piece: bytes) -> bytes:
        """Seal a piece for its place in a stream."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, piece, place)

    def open(self, place: bytes, sealed: bytes) -> bytes | None:
        """Return the piece that was sealed for this place; None for anything else."""
        if len(sealed) < _LEAST:
            return None
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], place)
        except self._wrong:
            return None


def read(secrets: Secrets) -> Mapping[str, tuple[bytes, ...]]:
    """Read secrets: those of everybody under `""`, those of tenants by name.

    Raises ConfigError, which shows none of them, unless each is 32 bytes.
    """
    if not isinstance(secrets, Mapping):
        return {"": _some(secrets, "")}
    if "" not in secrets:
        raise ConfigError(
            "secrets are given for tenants only: give those of everybody else too, under ''"
        )
    return {tenant: _some(some, tenant) for tenant, some in secrets.items()}


def _some(secrets: SomeSecrets, tenant: str) -> tuple[bytes, ...]:
    if isinstance(secrets, str):
        secrets = secrets.split(",")
    elif isinstance(secrets, bytes):
        secrets = [secrets]
    whose = f" of tenant {tenant!r}" if tenant else ""
    found = [
        _secret(secret, f"secret {number}{whose}") for number, secret in enumerate(secrets, start=1)
    ]
    if not found:
        raise ConfigError(f"there are no secrets{whose}: make one with {MAKE}")
    return tuple(dict.fromkeys(found))


def _secret(given: object, which: str) -> bytes:
    if isinstance(given, str):
        text = given.strip().rstrip("=").translate(_URLSAFE)
        try:
            given = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise ConfigError(f"{which} is not base64: make one with {MAKE}") from None
    if not isinstance(given, bytes):
        raise ConfigError(f"{which} is neither bytes nor text: make one with {MAKE}")
    if len(given) != SIZE:
        raise ConfigError(
            f"{which} has {len(given)} bytes, and a secret has {SIZE}: make one with {MAKE}"
        )
    return given


_URLSAFE = str.maketrans("+/", "-_")


def _derived(secret: bytes, use: str, tenant: str = "") -> bytes:
    """Derive the key for one use of a secret (RFC 5869)."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    info = f"askonce 1 {use}\0{tenant}".encode("utf-8", "surrogatepass")
    return HKDF(SHA256(), SIZE, salt=None, info=info).derive(secret)


def _under(key: bytes, text: bytes) -> bytes:
    return blake3(text, key=key).digest()


def _outside(entry: Entry, body: bytes) -> Entry:
    """What of an entry is plain to see: when it was made and ends, and its tags by their names.

    A store needs these to evict it and to let it die.
    """
    tags: dict[str, bytes] = {}
    for version in entry.tags.values():
        try:
            tags |= _unpack(version)
        except (msgspec.MsgspecError, ValueError):
            # `versions` has not made it, so it is never current: no tag here is without a name.
            tags[""] = version
    return Entry(body, entry.created, entry.expires, "sealed", tags=tags, grace=entry.grace)
