"""A tree like sysfs, for devices that this machine does not have."""

from __future__ import annotations

import os
from pathlib import Path


class Sysfs:
    """Makes block devices in a tree, with the links that the kernel makes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "block").mkdir(parents=True)
        (root / "dev/block").mkdir(parents=True)

    def disk(self, path: str, numbers: str, size: int = 2048, node: str | None = None) -> Path:
        """A disk by its way from the root; its name is the last part."""
        device = self._device(path, numbers, node)
        (device / "size").write_text(f"{size}\n")
        (device / "slaves").mkdir()
        self._link(f"block/{device.name}", device)
        return device

    def partition(self, disk: Path, name: str, numbers: str) -> Path:
        """A partition of a disk."""
        device = self._device(f"{disk.relative_to(self.root)}/{name}", numbers, name)
        (device / "partition").write_text("1\n")
        return device

    def driver(self, path: str, name: str) -> None:
        """The driver of the device at some way."""
        drivers = self.root / "bus/any/drivers" / name
        drivers.mkdir(parents=True, exist_ok=True)
        self._link(f"{path}/driver", drivers)

    def lies_on(self, upper: Path, lower: Path) -> None:
        """Make one device a part of another."""
        self._link(f"{upper.relative_to(self.root)}/slaves/{lower.name}", lower)

    def _device(self, path: str, numbers: str, node: str | None) -> Path:
        device = self.root / path
        device.mkdir(parents=True)
        major, minor = numbers.split(":")
        uevent = [f"MAJOR={major}", f"MINOR={minor}"]
        uevent += [f"DEVNAME={device.name if node is None else node}"] if node != "" else []
        (device / "uevent").write_text("\n".join(uevent) + "\n")
        (device / "dev").write_text(f"{numbers}\n")
        self._link(f"dev/block/{numbers}", device)
        return device

    def _link(self, path: str, target: Path) -> None:
        link = self.root / path
        link.symlink_to(os.path.relpath(target, link.parent))
