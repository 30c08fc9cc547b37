"""The guest's file systems and disks; as in QEMU 10.2's qga/qapi-schema.json."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.registry import Arguments, Data, command, doc

GuestDiskBusType = Literal[
    "ide",
    "fdc",
    "scsi",
    "virtio",
    "xen",
    "usb",
    "uml",
    "sata",
    "sd",
    "unknown",
    "ieee1394",
    "ssa",
    "fibre",
    "raid",
    "iscsi",
    "sas",
    "mmc",
    "virtual",
    "file-backed-virtual",
    "nvme",
]


class GuestPCIAddress(Data, frozen=True, kw_only=True):
    """Where a controller sits on the PCI bus; -1 where it does not."""

    domain: int
    bus: int
    slot: int
    function: int


class GuestCCWAddress(Data, frozen=True, kw_only=True):
    """Where a device sits on the channel I/O of s390x."""

    cssid: int
    ssid: int
    subchno: int
    devno: int


class GuestDiskAddress(Data, frozen=True, kw_only=True):
    """Where a disk is attached."""

    pci_controller: GuestPCIAddress
    bus_type: GuestDiskBusType
    bus: int
    target: int
    unit: int
    serial: str | UnsetType = UNSET
    dev: Annotated[str | UnsetType, doc("The device node.")] = UNSET
    ccw_address: GuestCCWAddress | UnsetType = UNSET


class GuestDiskInfo(Data, frozen=True, kw_only=True):
    """A disk, or a part of one."""

    name: Annotated[str, doc("The device node.")]
    partition: bool
    dependencies: Annotated[
        list[str] | UnsetType, doc("What it lies on: a partition's disk, a volume's physical volumes.")
    ] = UNSET
    address: Annotated[GuestDiskAddress | UnsetType, doc("Absent for partitions and virtual disks.")] = UNSET
    alias: Annotated[str | UnsetType, doc("The device mapper's name.")] = UNSET


class GuestFilesystemInfo(Data, frozen=True, kw_only=True):
    """A mounted file system."""

    name: Annotated[str, doc("The block device, as `vda1`.")]
    mountpoint: str
    type: str
    used_bytes: int | UnsetType = UNSET
    total_bytes: Annotated[int | UnsetType, doc("What ordinary users may fill.")] = UNSET
    total_bytes_privileged: Annotated[int | UnsetType, doc("What root may fill.")] = UNSET
    disk: Annotated[list[GuestDiskAddress], doc("The disks that it lies on, as far as known.")]


class GuestDiskStats(Data, frozen=True, kw_only=True):
    """A block device's counters since it came, as in /proc/diskstats; times in milliseconds."""

    read_sectors: int | UnsetType = UNSET
    read_ios: int | UnsetType = UNSET
    read_merges: int | UnsetType = UNSET
    write_sectors: int | UnsetType = UNSET
    write_ios: int | UnsetType = UNSET
    write_merges: int | UnsetType = UNSET
    discard_sectors: int | UnsetType = UNSET
    discard_ios: int | UnsetType = UNSET
    discard_merges: int | UnsetType = UNSET
    flush_ios: int | UnsetType = UNSET
    read_ticks: int | UnsetType = UNSET
    write_ticks: int | UnsetType = UNSET
    discard_ticks: int | UnsetType = UNSET
    flush_ticks: int | UnsetType = UNSET
    ios_pgr: Annotated[int | UnsetType, doc("Requests under way.")] = UNSET
    total_ticks: int | UnsetType = UNSET
    weight_ticks: int | UnsetType = UNSET


class GuestDiskStatsInfo(Data, frozen=True, kw_only=True):
    """A block device and its counters."""

    name: str
    major: int
    minor: int
    stats: GuestDiskStats


@command(GUEST, "guest-get-fsinfo", returns=list[GuestFilesystemInfo])
class GuestGetFsinfo(Arguments, frozen=True, kw_only=True):
    """List the mounted file systems that lie on block devices, the last mounted first."""


@command(GUEST, "guest-get-disks", returns=list[GuestDiskInfo])
class GuestGetDisks(Arguments, frozen=True, kw_only=True):
    """List the block devices that have a size, each with its partitions.

    qemu-ga's member `smart`, which NVMe disks have there, is not told.
    """


@command(GUEST, "guest-get-diskstats", returns=list[GuestDiskStatsInfo])
class GuestGetDiskstats(Arguments, frozen=True, kw_only=True):
    """List the counters of every block device."""
