"""Which tiers of semantic lookup are on."""

from __future__ import annotations

from dataclasses import dataclass

from askonce.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Semantic:
    """Answers a reworded question from the cache, within an equal request otherwise.

    With `direct=False`, which this release asks for, a question is the same as another only if both
    have one canonical text: they differ in politeness, articles, contractions, signs at the end, or
    in how they ask what something is, means or how it works.
    """

    direct: bool = True

    def __post_init__(self) -> None:
        if self.direct:
            raise ConfigError(
                "direct hits by similarity are not in this release: write Semantic(direct=False)"
            )


def read(semantic: Semantic | bool | None) -> Semantic | None:
    """Read what was given for `semantic`. ConfigError for what is not there yet."""
    if semantic is True:
        return Semantic()
    if isinstance(semantic, Semantic):
        return semantic
    if semantic:
        raise ConfigError(f"{semantic!r} is no setting: write semantic=Semantic(direct=False)")
    return None
