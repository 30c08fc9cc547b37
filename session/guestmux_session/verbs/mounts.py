"""What is mounted where, by /proc/self/mountinfo (proc(5))."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from guestmux_session.errors import CommandError

MOUNTINFO = Path("/proc/self/mountinfo")

_ESCAPED = re.compile(rb"\\([0-3][0-7]{2})")


@dataclass(frozen=True)
class Mount:
    """One line of mountinfo.

    Attributes:
        path: where it is mounted.
        device: major and minor number of its file system, the same for all its mounts.
        kind: ext4, tmpfs and so on.
        source: what is mounted; of no form that could be relied on.
    """

    path: str
    device: tuple[int, int]
    kind: str
    source: str

    @property
    def on_disk(self) -> bool:
        """Whether it is a local file system on a block device; btrfs has device numbers that are none's."""
        return self.device[0] != 0 or (self.kind == "btrfs" and _is_block_device(self.source))


def read_mounts(mountinfo: Path = MOUNTINFO) -> list[Mount]:
    """All mounts, in the order in which they were made.

    Raises:
        CommandError: the kernel's list cannot be read.
    """
    try:
        # Not by splitlines: a path may have a carriage return in it, which the kernel leaves as it is.
        lines = mountinfo.read_bytes().split(b"\n")
    except OSError as error:
        raise CommandError(f"failed to read {mountinfo}: {error.strerror}") from error
    return [_mount(line) for line in lines if line]


def mount_of(path: Path, mounts: list[Mount]) -> Mount | None:
    """The mount that a path is in; the last one where several are at the same place."""
    found = None
    for mount in mounts:
        inside = path == Path(mount.path) or Path(mount.path) in path.parents
        if inside and (found is None or len(mount.path) >= len(found.path)):
            found = mount
    return found


def _mount(line: bytes) -> Mount:
    # Any number of optional fields stand before the dash.
    before, after = line.split(b" - ", 1)
    major, minor = before.split(b" ", 3)[2].split(b":")
    kind, source = after.split(b" ")[:2]
    return Mount(_text(before.split(b" ")[4]), (int(major), int(minor)), _text(kind), _text(source))


def _text(field: bytes) -> str:
    return os.fsdecode(_ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), field))


def _is_block_device(source: str) -> bool:
    try:
        return stat.S_ISBLK(os.stat(source).st_mode)  # noqa: PTH116 - a source need not be a path
    except OSError:
        return False
