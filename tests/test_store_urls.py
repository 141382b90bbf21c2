from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from askonce.blocking import run
from askonce.errors import ConfigError, StoreError
from askonce.model import Entry
from askonce.stores import Memory, open_store, places
from askonce.stores.tiered import Tiered

KEY = bytes(range(20))


def put(store) -> None:
    run(store.put({KEY: Entry(b"an answer", created=1.0)}))
    run(store.close())


def test_memory_is_memory_alone():
    assert type(open_store("memory://")) is Memory


def test_three_slashes_name_a_file_beside_the_program(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(open_store("sqlite:///answers.db"))
    assert (tmp_path / "answers.db").exists()


def test_four_slashes_name_a_file_anywhere(tmp_path):
    put(open_store(f"sqlite:///{tmp_path}/caf\u00e9 #1?/answers.db"))
    assert (tmp_path / "caf\u00e9 #1?" / "answers.db").exists()


@pytest.mark.parametrize("url", ["", None])
def test_no_url_is_a_file_in_the_users_cache_folder(tmp_path, monkeypatch, url):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    store = open_store(url)
    assert type(store) is Tiered
    assert list(tmp_path.iterdir()) == []
    put(store)
    assert len(list(tmp_path.rglob("askonce/**/answers.db"))) == 1


def test_opening_touches_no_disk(tmp_path):
    run(open_store(f"sqlite:///{tmp_path}/new/answers.db").close())
    assert list(tmp_path.iterdir()) == []


def test_sizes_bound_the_tiers(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/answers.db", memory="1MB", disk="2MB")
    assert (store._near._limit, store._far._limit) == (10**6, 2 * 10**6)
    with pytest.raises(ConfigError, match="a size"):
        open_store("memory://", memory="little")
    with pytest.raises(ConfigError, match="a size"):
        open_store("", disk="little")


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("sqllite:///answers.db", "did you mean 'sqlite'"),
        ("SQLITE:///answers.db", "did you mean 'sqlite'"),
        ("mem://", "did you mean 'memory'"),
        ("memory", "memory://"),
        ("answers.db", "sqlite:///answers.db"),
        ("mysql://localhost", "Use memory://"),
        ("sqlite://answers.db", "sqlite:///answers.db"),
        ("sqlite://", "sqlite:///answers.db"),
        ("sqlite:///", "sqlite:///answers.db"),
        ("memory://somewhere", "write 'memory://'"),
    ],
)
def test_a_wrong_url_is_refused_with_the_nearest_right_one(url, fix):
    with pytest.raises(ConfigError, match=fix):
        open_store(url)


def test_memory_imports_neither_sqlite_nor_a_codec():
    program = (
        "import sys; from askonce.stores import open_store; open_store('memory://');"
        "sys.exit(bool({'sqlite3', 'cramjam', 'platformdirs'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# Where files may live

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
proc /proc proc rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/local xfs rw 0 0
//server/share /mnt/a\\040share cifs rw 0 0
me@server: /mnt/ssh fuse.sshfs rw 0 0
/dev/sdc1 /mnt/twice nfs rw 0 0
/dev/sdc1 /mnt/twice ext4 rw 0 0
short line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/cache/answers.db", "ext4"),
        ("/home/ada/.cache/askonce/answers.db", "nfs4"),
        ("/home/local/answers.db", "xfs"),
        ("/homely/answers.db", "ext4"),
        ("/mnt/a share/answers.db", "cifs"),
        ("/mnt/ssh/answers.db", "fuse.sshfs"),
        ("/mnt/twice/answers.db", "ext4"),
    ],
)
def test_a_path_is_on_the_file_system_of_the_nearest_mount(tmp_path, path, kind):
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert places.file_system(Path(path), mounts) == kind


def test_where_no_mounts_are_told_no_file_system_is_named(tmp_path):
    assert places.file_system(Path("/home"), tmp_path / "absent") == ""


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "afs"])
def test_a_network_file_system_is_refused(tmp_path, kind):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/ / {kind} rw 0 0\n")
    with pytest.raises(places.Unsuitable, match=f"network file system .{kind}.: choose a local"):
        places.prepare(tmp_path / "new" / "answers.db", mounts)
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_no_reason_to_give_a_place_up(tmp_path):
    full, forbidden = OSError(28, "No space left"), OSError(13, "Permission denied")
    assert type(places.refused(tmp_path, full)) is StoreError
    assert type(places.refused(tmp_path, forbidden)) is places.Unsuitable
