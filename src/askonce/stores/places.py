"""Where files may live: in folders of our own, on a file system of this machine."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from askonce.errors import StoreError

NETWORK = re.compile(r"nfs\d?|cifs|smb\w*|afs|ncpfs|ceph|glusterfs|fuse\.(sshfs|rclone|glusterfs)")
"""File systems shared by several machines, as /proc/mounts names them."""

MOUNTS = Path("/proc/mounts")

_NEVER = {
    errno.EACCES,
    errno.EEXIST,  # a file where a folder should be
    errno.EISDIR,
    errno.ELOOP,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}


class Unsuitable(StoreError):
    """A place that can never hold this store, however often one tries. The message says why."""


def prepare(path: Path, mounts: Path = MOUNTS) -> None:
    """Make the folder for a file, readable by nobody else. StoreError if it cannot be had."""
    if path.parts[:1] == ("~",):
        raise Unsuitable(f"{path} is in a home that this user does not have: choose another path")
    kind = file_system(path, mounts)
    if NETWORK.fullmatch(kind):
        # Write-ahead logging needs memory shared by all who open the file: sqlite.org/wal.html.
        raise Unsuitable(f"{path} is on a network file system ({kind}): choose a local folder")
    try:
        _make(path.parent)
    except OSError as error:
        raise refused(path, error) from error


def refused(path: Path, error: OSError) -> StoreError:
    """Say what the system answered, and whether trying again is of any use."""
    kind = Unsuitable if error.errno in _NEVER else StoreError
    return kind(f"{path} cannot be written ({error.strerror}): choose another path")


def file_system(path: Path, mounts: Path = MOUNTS) -> str:
    """Name the kind of file system a path is on; "" where the system does not say."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    real = Path(os.path.realpath(path))
    depth, kind = 0, ""
    for fields in (line.split(" ") for line in lines):
        point = Path(_plain(fields[1])) if len(fields) > 2 else Path("-")
        # Of two mounts on one point the later one is seen.
        if len(point.parts) >= depth and real.is_relative_to(point):
            depth, kind = len(point.parts), fields[2]
    return kind


def _make(folder: Path) -> None:
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _plain(field: str) -> str:
    """Undo the octal escapes of /proc/mounts (blank, tab, newline, backslash)."""
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), field)
