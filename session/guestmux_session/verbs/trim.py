"""guest-fstrim: hand blocks that no file uses back to the host."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from msgspec import UNSET

from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.freeze import (
    GuestFilesystemTrimResponse,
    GuestFilesystemTrimResult,
    GuestFstrim,
)
from guestmux_session.declarations import command_of
from guestmux_session.verbs import disk_requests
from guestmux_session.verbs.mounts import Mount, read_mounts

_CANNOT = {errno.EOPNOTSUPP, errno.ENOTTY}


class Trim:
    """Trims file systems.

    Args:
        mounts: what is mounted, the kernel's list.
    """

    def __init__(self, mounts: Callable[[], list[Mount]] = read_mounts) -> None:
        self._mounts = mounts

    @command_of(GUEST["guest-fstrim"])
    def trim(self, arguments: GuestFstrim) -> GuestFilesystemTrimResponse:
        """Trim all of them; one that cannot be is told of and does not stop the others."""
        minimum = 0 if arguments.minimum is UNSET else arguments.minimum
        paths = [mount.path for mount in self._mounts() if mount.on_disk]
        return GuestFilesystemTrimResponse(paths=[_trim_one(path, minimum) for path in paths])


def _trim_one(path: str, minimum: int) -> GuestFilesystemTrimResult:
    try:
        mount = disk_requests.open_mount(path)
    except OSError as error:
        return _failed(path, f"failed to open: {error.strerror}")
    try:
        trimmed, taken = disk_requests.trim(mount, minimum)
    except OSError as error:
        text = "trim not supported" if error.errno in _CANNOT else f"failed to trim: {error.strerror}"
        return _failed(path, text)
    finally:
        os.close(mount)
    return GuestFilesystemTrimResult(path=_printable(path), trimmed=trimmed, minimum=taken)


def _failed(path: str, text: str) -> GuestFilesystemTrimResult:
    return GuestFilesystemTrimResult(path=_printable(path), error=text)


def _printable(path: str) -> str:
    """A path as JSON can say it, whatever bytes it has."""
    return os.fsencode(path).decode(errors="replace")
