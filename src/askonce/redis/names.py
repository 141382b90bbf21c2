"""The names of keys and channels. All of one bucket carry one hash tag, so they share a slot."""

from __future__ import annotations

import re

from askonce.redis.address import Address

BUCKETS = 256
"""Buckets on a cluster: enough to spread over any number of nodes, few enough for an invalidation
to write to each of them (0.9 ms, pipelined)."""


class Names:
    """The names under one namespace."""

    def __init__(self, address: Address) -> None:
        self._prefix = address.namespace.encode()
        self.buckets = range(BUCKETS if address.cluster else 1)
        self._places = [self._prefix + b":{%d}:" % bucket for bucket in self.buckets]
        self.news = self._prefix + b":news"
        """The channel on which processes tell one another of flights and forgotten entries."""
        self.every_entry = re.sub(rb"([\\*?\[\]^])", rb"\\\1", self._prefix) + b":{*}:e:*"
        """A pattern for SCAN."""

    def bucket(self, key: bytes) -> int:
        """Return the bucket of a key."""
        return key[0] if len(self.buckets) > 1 and key else 0

    def entry(self, key: bytes) -> bytes:
        """Return the name of an entry."""
        return self._places[self.bucket(key)] + b"e:" + key

    def key(self, entry: bytes) -> bytes:
        """Return the key of an entry's name."""
        return entry[entry.index(b"}", len(self._prefix)) + 4 :]

    def tags(self, bucket: int) -> bytes:
        """Return the name of the hash of tag versions."""
        return self._places[bucket % len(self._places)] + b"tags"

    def lease(self, key: bytes) -> bytes:
        """Return the name of the lease of a flight."""
        return self._places[self.bucket(key)] + b"l:" + key

    def stream(self, key: bytes, token: bytes) -> bytes:
        """Return the name of the stream that the holder of a lease tells."""
        return self._places[self.bucket(key)] + b"s:" + key + token

    def most_tags(self, in_all: int) -> int:
        """Return how many tags one bucket keeps."""
        return max(1, in_all // len(self.buckets))
