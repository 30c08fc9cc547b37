"""The kernel's list of mounts, as it may be written."""

import os
from pathlib import Path

import pytest

from guestmux_session.errors import CommandError
from guestmux_session.verbs.mounts import Mount, mount_of, read_mounts

LINES = rb"""22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:5 / /dev rw,nosuid shared:2 master:3 - devtmpfs udev rw,size=1
24 22 0:20 / /run rw - tmpfs tmpfs rw
25 22 254:2 /sub /mnt/a\040b\134c rw - xfs /dev/vdb\0401 rw
26 22 0:40 / /data rw - btrfs /dev/null rw
27 22 0:41 / /caf\351 rw - nfs4 server:/export rw
28 24 254:3 / /run rw - ext4 /dev/vdc rw
29 22 0:42 / /odd\rname rw - fuse odd rw
""".replace(rb"\r", b"\r")


@pytest.fixture
def mounts(tmp_path: Path) -> list[Mount]:
    (tmp_path / "mountinfo").write_bytes(LINES)
    return read_mounts(tmp_path / "mountinfo")


def test_each_is_read(mounts: list[Mount]) -> None:
    assert mounts[0] == Mount("/", (254, 1), "ext4", "/dev/vda1")
    assert mounts[3] == Mount("/mnt/a b\\c", (254, 2), "xfs", "/dev/vdb 1")
    assert os.fsencode(mounts[5].path) == b"/caf\xe9"
    assert mounts[7].path == "/odd\rname"
    assert [mount.path for mount in mounts if mount.on_disk] == ["/", "/mnt/a b\\c", "/run"]


def test_btrfs_is_on_a_disk_by_what_is_mounted(tmp_path: Path) -> None:
    assert not Mount("/data", (0, 40), "btrfs", "/nowhere").on_disk
    blocks = [path for path in Path("/dev").iterdir() if path.is_block_device()]
    if not blocks:
        pytest.skip("this machine has no block device")
    assert Mount("/data", (0, 40), "btrfs", str(blocks[0])).on_disk


@pytest.mark.parametrize(
    ("path", "device"),
    [("/", (254, 1)), ("/etc/x", (254, 1)), ("/run/x", (254, 3)), ("/runner", (254, 1)), ("/run", (254, 3))],
)
def test_which_mount_a_path_is_in(mounts: list[Mount], path: str, device: tuple[int, int]) -> None:
    found = mount_of(Path(path), mounts)
    assert found is not None
    assert found.device == device


def test_this_machines_list_can_be_read() -> None:
    assert mount_of(Path("/proc/self"), read_mounts()) is not None
    assert mount_of(Path("/x"), []) is None


def test_without_a_list(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"failed to read .*/mountinfo: No such file or directory"):
        read_mounts(tmp_path / "mountinfo")
