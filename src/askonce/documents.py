"""Documents: tags whose version is a digest of their content. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from blake3 import blake3

SIZE = 16
"""Bytes of a version, as many as a random one has."""


CONTENT = "#content"
"""The end of a content's tag."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it is now, to be given among the `tags` of what depends on it.

    Its name is a tag like any other, for `invalidate`. Its content is a tag of its own, whose
    version is that of the content: answers from another content are never served with it.
    """

    name: str
    version: bytes

    @property
    def content(self) -> str:
        """The tag of its content."""
        return self.name + CONTENT

    @property
    def tags(self) -> tuple[str, str]:
        """The tags of what depends on it."""
        return self.name, self.content


def of(name: str, content: str | bytes) -> Document:
    """Read a document."""
    text = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return Document(name, blake3(text).digest(SIZE))


def is_of(version: bytes, content: bytes) -> bool:
    """Say whether a store's version of a tag is the one that was given for some content.

    Stores put marks of their own around it: a bucket, or the names that it has under secrets.
    """
    return content in version
