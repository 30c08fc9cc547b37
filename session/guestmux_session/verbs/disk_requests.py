"""The requests that a mounted file system takes by ioctl (linux/fs.h): freeze, thaw, trim."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import Final

# The same number on every architecture.
_FIFREEZE: Final = 0xC0045877
_FITHAW: Final = 0xC0045878
_FITRIM: Final = 0xC0185879

_WHOLE: Final = 2**64 - 1
_RANGE: Final = struct.Struct("QQQ")
"""struct fstrim_range: start, length, shortest free range."""

MAX_FREEZES: Final = 1000
"""Thaws of one file system at a time: as often as it was frozen, and a kernel may err."""


def open_mount(path: str) -> int:
    """A descriptor of where a file system is mounted, to be closed by the caller.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


def freeze(mount: int) -> bool:
    """Sync and freeze; False where it cannot be, or is frozen already, by another mount of it or by somebody else.

    Raises:
        OSError: it should be possible, and failed.
    """
    try:
        fcntl.ioctl(mount, _FIFREEZE, 0)
    except OSError as error:
        if error.errno in {errno.EOPNOTSUPP, errno.EBUSY}:
            return False
        raise
    return True


def thaw(mount: int) -> bool:
    """Thaw, however often it was frozen; False where it was not."""
    for times in range(MAX_FREEZES):
        try:
            fcntl.ioctl(mount, _FITHAW, 0)
        except OSError:
            # The kernel's way to say that it is thawed now, or that it cannot be frozen at all.
            return times > 0
    return True


def trim(mount: int, minimum: int) -> tuple[int, int]:
    """Tell the disk which blocks are free.

    Args:
        mount: a descriptor.
        minimum: bytes of the shortest range to tell of.

    Returns:
        Bytes told of, and the minimum that the disk took in place of ours.

    Raises:
        OSError: EOPNOTSUPP or ENOTTY where file system or disk cannot.
    """
    asked = _RANGE.pack(0, _WHOLE, minimum & _WHOLE)
    _, trimmed, taken = _RANGE.unpack(fcntl.ioctl(mount, _FITRIM, asked))
    return trimmed, taken
