"""Where a disk is attached, by its way in sysfs (qemu-ga: build_guest_fsinfo_for_real_device)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from msgspec import UNSET

from guestmux_protocol.guest.storage import (
    GuestCCWAddress,
    GuestDiskAddress,
    GuestDiskBusType,
    GuestPCIAddress,
)
from guestmux_session.verbs.block_devices import BlockDevices

NO_CONTROLLER = GuestPCIAddress(domain=-1, bus=-1, slot=-1, function=-1)

_PCI_ROOT = re.compile(r"pci[0-9a-f]+:[0-9a-f]+")
_PCI_FUNCTION = re.compile(r"([0-9a-f]+):([0-9a-f]+):([0-9a-f]+)\.([0-9a-f]+)")
_CCW_ROOT = re.compile(r"css[0-9a-f]+")
_CCW_SUBCHANNEL = re.compile(r"([0-9a-f]+)\.([0-9a-f]+)\.([0-9a-f]+)")
_CCW_DEVICE = re.compile(r"[0-9a-f]+\.[0-9a-f]+\.([0-9a-f]+)")
_SCSI_TARGET = re.compile(r"target\d+:\d+:\d+")
_SCSI_UNIT = re.compile(r"\d+:(\d+):(\d+):(\d+)")
_ATA_PORT = re.compile(r"ata(\d+)")
_SCSI_HOST = re.compile(r"host(\d+)")


@dataclass(frozen=True)
class _Seat:
    """Where on its controller a disk sits."""

    bus_type: GuestDiskBusType
    bus: int = 0
    target: int = 0
    unit: int = 0


@dataclass(frozen=True)
class _Unit:
    """A SCSI address without its host's number."""

    channel: int
    target: int
    lun: int


_KNOWN_DRIVERS = frozenset({"ata_piix", "sym53c8xx", "virtio-pci", "ahci", "nvme", "xhci_hcd", "ehci-pci"})
"""Drivers of controllers that QEMU offers, and so knows what the kernel makes of."""


def disk_address(device: Path, devices: BlockDevices) -> GuestDiskAddress | None:
    """The address of a disk or of one of its partitions; None for one of which nothing is known."""
    parts = devices.parts(device)
    controller, seat = _on_pci(parts, devices)
    channel = _ccw_address(parts)
    if controller is None and any(part.startswith("virtio") for part in parts) and "block" in parts:
        seat = _on_plain_virtio(parts)
    node, serial = devices.node(device), devices.serial(device)
    if seat is None and channel is None and not node and not serial:
        return None
    known = seat or _Seat("unknown")
    return GuestDiskAddress(
        pci_controller=controller or NO_CONTROLLER,
        bus_type=known.bus_type,
        bus=known.bus,
        target=known.target,
        unit=known.unit,
        serial=serial or UNSET,
        dev=node or UNSET,
        ccw_address=channel or UNSET,
    )


def _on_pci(parts: tuple[str, ...], devices: BlockDevices) -> tuple[GuestPCIAddress | None, _Seat | None]:
    """The controller: the first function on the way, behind any bridges, whose driver is known; and the seat there."""
    if len(parts) < 3 or not _PCI_ROOT.fullmatch(parts[1]):
        return None, None
    for index in range(2, len(parts)):
        function = _PCI_FUNCTION.fullmatch(parts[index])
        if function is None:
            break
        driver = devices.driver(parts[: index + 1])
        if driver in _KNOWN_DRIVERS:
            domain, bus, slot, number = (int(digits, 16) for digits in function.groups())
            address = GuestPCIAddress(domain=domain, bus=bus, slot=slot, function=number)
            return address, _seat(driver, parts, devices)
    return None, None


def _seat(driver: str, parts: tuple[str, ...], devices: BlockDevices) -> _Seat | None:
    """What a driver makes of a controller's disks; None where they are not where they should be."""
    unit = _scsi_unit(parts)
    if driver == "virtio-pci":
        return _Seat("scsi", unit=unit.lun) if unit else _Seat("virtio")
    if driver == "nvme":
        return _Seat("nvme")
    if driver in {"xhci_hcd", "ehci-pci"}:
        return _Seat("usb")
    if unit is None:
        return None
    if driver == "sym53c8xx":
        return _Seat("scsi", unit=unit.target)
    port = _port(parts, devices)
    if port is None:
        return None
    return _Seat("ide", bus=port, unit=unit.target) if driver == "ata_piix" else _Seat("sata", unit=port)


def _on_plain_virtio(parts: tuple[str, ...]) -> _Seat:
    """Virtio on channel I/O or memory."""
    unit = _scsi_unit(parts)
    if unit is None:
        return _Seat("virtio")
    return _Seat("scsi", bus=unit.channel, target=unit.target, unit=unit.lun)


def _scsi_unit(parts: tuple[str, ...]) -> _Unit | None:
    for part, after in pairwise(parts):
        found = _SCSI_UNIT.fullmatch(after) if _SCSI_TARGET.fullmatch(part) else None
        if found:
            return _Unit(*map(int, found.groups()))
    return None


def _port(parts: tuple[str, ...], devices: BlockDevices) -> int | None:
    """Which of its controller's ports a disk is on, counted from 0: the kernel counts those of all controllers."""
    for pattern in (_ATA_PORT, _SCSI_HOST):
        for index, part in enumerate(parts):
            if found := pattern.fullmatch(part):
                ports = devices.siblings(parts[:index], pattern)
                return ports.index(int(found[1])) if int(found[1]) in ports else None
    return None


def _ccw_address(parts: tuple[str, ...]) -> GuestCCWAddress | None:
    if len(parts) < 4 or not _CCW_ROOT.fullmatch(parts[1]):
        return None
    subchannel, device = _CCW_SUBCHANNEL.fullmatch(parts[2]), _CCW_DEVICE.fullmatch(parts[3])
    if subchannel is None or device is None:
        return None
    cssid, ssid, subchno = (int(digits, 16) for digits in subchannel.groups())
    return GuestCCWAddress(cssid=cssid, ssid=ssid, subchno=subchno, devno=int(device[1], 16))
