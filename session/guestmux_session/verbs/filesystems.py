"""guest-get-fsinfo: what is mounted, how full it is, and on which disks it lies."""

from __future__ import annotations

import os
from collections.abc import Callable

from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.storage import GuestFilesystemInfo, GuestGetFsinfo
from guestmux_session.declarations import command_of
from guestmux_session.verbs.block_devices import BlockDevices
from guestmux_session.verbs.disk_addresses import disk_address
from guestmux_session.verbs.mounts import Mount, read_mounts


class Filesystems:
    """Lists file systems.

    Args:
        devices: the block devices.
        mounts: what is mounted, the kernel's list.
    """

    def __init__(
        self, devices: BlockDevices | None = None, mounts: Callable[[], list[Mount]] = read_mounts
    ) -> None:
        self._devices = devices or BlockDevices()
        self._mounts = mounts

    @command_of(GUEST["guest-get-fsinfo"])
    def fsinfo(self, _arguments: GuestGetFsinfo) -> list[GuestFilesystemInfo]:
        """List those on block devices, the last mounted first."""
        return [self._info(mount) for mount in reversed(self._mounts()) if mount.on_disk]

    def _info(self, mount: Mount) -> GuestFilesystemInfo:
        device = self._devices.numbered(*_device_of(mount))
        addresses = [
            disk_address(real, self._devices) for real in self._devices.real(device) if real.exists()
        ]
        return GuestFilesystemInfo(
            name=device.name,
            mountpoint=_printable(mount.path),
            type=mount.kind,
            disk=[address for address in addresses if address is not None],
            **_usage(mount.path),
        )


def _device_of(mount: Mount) -> tuple[int, int]:
    """The block device; btrfs has numbers of its own, and names the device as its source."""
    if mount.device[0] != 0:
        return mount.device
    try:
        device = os.stat(mount.source).st_rdev  # noqa: PTH116 - a source need not be a path
    except OSError:
        return mount.device
    return os.major(device), os.minor(device)


def _usage(path: str) -> dict[str, int]:
    """Bytes used and there, nothing where the file system does not say; blocks as long as that takes."""
    try:
        found = os.statvfs(path)
    except OSError:
        return {}
    used = found.f_blocks - found.f_bfree
    return {
        "used_bytes": used * found.f_frsize,
        "total_bytes": (used + found.f_bavail) * found.f_frsize,
        "total_bytes_privileged": found.f_blocks * found.f_frsize,
    }


def _printable(path: str) -> str:
    """A path as JSON can have it: what is no UTF-8 becomes U+FFFD, as in qemu-ga."""
    return os.fsencode(path).decode(errors="replace")
