"""The models that askonce ships, as files. Importing this opens none of them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["path", "sha256"]

_FOLDER = Path(__file__).parent


def path(name: str) -> Path:
    """Return where a file is, such as `embedder.onnx`.

    Raises FileNotFoundError, which names the files there are.
    """
    if name not in _sums():
        raise FileNotFoundError(f"no file {name!r} in askonce-models: it has {', '.join(_sums())}")
    return _FOLDER / name


def sha256(name: str) -> str:
    """Return the SHA-256 that a file was shipped with, in hexadecimal digits. It is not opened.

    Raises FileNotFoundError, which names the files there are.
    """
    path(name)
    return _sums()[name]


def _sums() -> dict[str, str]:
    lines = (_FOLDER / "SHA256SUMS").read_text("ascii").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}
