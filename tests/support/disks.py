"""Real file systems in files, mounted where nobody else sees them, for what only a kernel can answer."""

import ctypes
import functools
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from guestmux_session.verbs import disk_requests
from guestmux_session.verbs.mounts import Mount, read_mounts

SIZE = 16 << 20

CLONE_NEWNS = 0x00020000
"""linux/sched.h; Python has a name for it from 3.12 on."""


@dataclass
class Disks:
    """Two disks, the inner one in a file on the outer one.

    Attributes:
        outer, inner: where they are mounted.
        memory: a tmpfs, for what must never be frozen.
    """

    folder: Path
    outer: Path
    inner: Path
    memory: Path

    def mounts(self) -> list[Mount]:
        """What is mounted here; the machine's own file systems are no concern of a test's."""
        return [mount for mount in read_mounts() if Path(mount.path).is_relative_to(self.folder)]

    def frozen(self, path: Path) -> bool:
        """Whether the kernel says that it is frozen."""
        mount = disk_requests.open_mount(str(path))
        try:
            if disk_requests.freeze(mount):
                disk_requests.thaw(mount)
                return False
            return True
        finally:
            os.close(mount)


@contextmanager
def mounted_disks(folder: Path) -> Iterator[Disks]:
    """Make them and mount them; gone after the block. Skips where this machine cannot."""
    _see_own_mounts()
    disks = Disks(folder, folder / "outer", folder / "inner", folder / "memory")
    with ExitStack() as stack:
        _mount(stack, disks.memory, "-t", "tmpfs", "tmpfs")
        _mount(stack, disks.outer, "-o", "loop", _made(folder / "outer.img"))
        _mount(stack, disks.inner, "-o", "loop", _made(disks.outer / "inner.img", SIZE // 4))
        try:
            yield disks
        finally:
            # The one below first: the other cannot be unmounted as long as its file is not written to.
            _thaw(disks.outer)
            _thaw(disks.inner)


@functools.cache
def _see_own_mounts() -> None:
    """What is mounted from here on ends with this process, whatever becomes of it."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        pytest.skip(f"needs root: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["mount", "--make-rslave", "/"], check=True)


def _made(image: Path, size: int = SIZE) -> str:
    image.touch()
    os.truncate(image, size)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True, env=os.environ | {"PATH": "/usr/sbin:/sbin"})
    return str(image)


def _mount(stack: ExitStack, path: Path, *options: str) -> None:
    path.mkdir()
    result = subprocess.run(["mount", *options, str(path)], capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip(f"needs root and loop devices: {result.stderr.strip()}")
    stack.callback(_unmount, path)


def _unmount(path: Path) -> None:
    # The kernel lets go of a loop device some time after it was unmounted.
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def _thaw(path: Path) -> None:
    mount = disk_requests.open_mount(str(path))
    disk_requests.thaw(mount)
    os.close(mount)
