"""Block devices as sysfs shows them, with what udev knows besides (sysfs-block in the kernel's documentation)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from guestmux_session.verbs.kernel_files import SYSFS, attribute, names_in, properties

UDEV_DATA = Path("/run/udev/data")
"""udev's database, a file of `E:NAME=value` lines for each device (libudev's device-private.c)."""

MAX_LAYERS = 8
"""Devices upon devices that are followed: LVM on crypt on RAID on partitions is four."""


class BlockDevices:
    """Reads what is known of a device. A device goes by its directory in sysfs, with all links resolved.

    Args:
        sysfs: where sysfs is mounted.
        udev: where udev keeps its database; empty where no udev runs.
    """

    def __init__(self, sysfs: Path = SYSFS, udev: Path = UDEV_DATA) -> None:
        self._sysfs = sysfs.resolve()
        self._udev = udev

    @property
    def disks(self) -> Path:
        """The directory with an entry for each whole device."""
        return self._sysfs / "block"

    def numbered(self, major: int, minor: int) -> Path:
        """The directory of a device by its numbers; it may not exist, as in a container."""
        return (self._sysfs / f"dev/block/{major}:{minor}").resolve()

    def parts(self, device: Path) -> tuple[str, ...]:
        """The device's way from the root of sysfs: bus, controller, disk; empty for one outside."""
        return device.relative_to(self._sysfs).parts if device.is_relative_to(self._sysfs) else ()

    def is_virtual(self, device: Path) -> bool:
        """Whether it is made of others, or of memory or a file."""
        return self.parts(device)[:3] == ("devices", "virtual", "block")

    def node(self, device: Path) -> str:
        """Its device node; empty for one that has none."""
        name = properties(device / "uevent").get("DEVNAME", "")
        return f"/dev/{name}" if name else ""

    def serial(self, device: Path) -> str:
        """Its serial number as udev makes it; without udev a virtio disk's, which is the same."""
        return self._from_udev(device, "ID_SERIAL") or self._virtio_serial(device)

    def mapper_name(self, device: Path) -> str:
        """The device mapper's name for it."""
        return self._from_udev(device, "DM_NAME") or attribute(device / "dm/name")

    def partitions(self, device: Path) -> list[Path]:
        """The directories of its partitions, in order."""
        numbered = re.compile(rf"{re.escape(device.name)}p?(\d+)")
        found = [(int(match[1]), name) for name in names_in(device) if (match := numbered.fullmatch(name))]
        return [device / name for _, name in sorted(found)]

    def lower(self, device: Path) -> list[Path]:
        """The devices that it lies on directly."""
        return [(device / "slaves" / name).resolve() for name in names_in(device / "slaves")]

    def real(self, device: Path, layers: int = MAX_LAYERS) -> Iterator[Path]:
        """The hardware that it lies on, through MAX_LAYERS of virtual devices."""
        if not self.is_virtual(device):
            yield device
        elif layers:
            for lower in self.lower(device):
                yield from self.real(lower, layers - 1)

    def driver(self, parts: tuple[str, ...]) -> str:
        """The driver of the device at some way from sysfs' root; empty where it has none."""
        link = self._sysfs.joinpath(*parts, "driver")
        return link.resolve().name if link.exists() else ""

    def siblings(self, parts: tuple[str, ...], pattern: re.Pattern[str]) -> list[int]:
        """The numbers, sorted, of all devices called by a pattern in the directory at some way."""
        found = map(pattern.fullmatch, names_in(self._sysfs.joinpath(*parts)))
        return sorted(int(match[1]) for match in found if match)

    def _virtio_serial(self, device: Path) -> str:
        disk = device.parent if (device / "partition").exists() else device
        return attribute(disk / "serial") if disk.name.startswith("vd") else ""

    def _from_udev(self, device: Path, name: str) -> str:
        numbers = attribute(device / "dev")
        return properties(self._udev / f"b{numbers}").get(f"E:{name}", "") if numbers else ""
