"""guest-get-disks and guest-get-diskstats, by sysfs and /proc/diskstats."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import UNSET

from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.storage import (
    GuestDiskInfo,
    GuestDiskStats,
    GuestDiskStatsInfo,
    GuestGetDisks,
    GuestGetDiskstats,
)
from guestmux_session.declarations import command_of
from guestmux_session.verbs.block_devices import BlockDevices
from guestmux_session.verbs.disk_addresses import disk_address
from guestmux_session.verbs.kernel_files import PROCFS, attribute, failed, read_table

# The columns of /proc/diskstats after the device's numbers and name (the kernel's admin-guide/iostats.rst).
_READS = ("read_ios", "read_merges", "read_sectors", "read_ticks")
_WRITES = ("write_ios", "write_merges", "write_sectors", "write_ticks")
_ALL = ("ios_pgr", "total_ticks", "weight_ticks")
_DISCARDS = ("discard_ios", "discard_merges", "discard_sectors", "discard_ticks")
_FLUSHES = ("flush_ios", "flush_ticks")
_COLUMNS = (*_READS, *_WRITES, *_ALL, *_DISCARDS, *_FLUSHES)
_OF_OLD_PARTITIONS = ("read_ios", "read_sectors", "write_ios", "write_sectors")
"""A partition's columns before Linux 2.6.25."""


class Disks:
    """Lists disks and their counters.

    Args:
        devices: the block devices.
        procfs: where procfs is mounted.
    """

    def __init__(self, devices: BlockDevices | None = None, procfs: Path = PROCFS) -> None:
        self._devices = devices or BlockDevices()
        self._stats = procfs / "diskstats"

    @command_of(GUEST["guest-get-disks"])
    def disks(self, _arguments: GuestGetDisks) -> list[GuestDiskInfo]:
        """List the disks by name, each before its partitions."""
        directory = self._devices.disks
        try:
            names = sorted(os.listdir(directory))  # noqa: PTH208 - names alone
        except OSError as error:
            raise failed(f'Can\'t open directory "{directory}"', error) from error
        return [each for name in names for each in self._disk((directory / name).resolve())]

    @command_of(GUEST["guest-get-diskstats"])
    def diskstats(self, _arguments: GuestGetDiskstats) -> list[GuestDiskStatsInfo]:
        """Read /proc/diskstats."""
        rows = (line.split() for line in read_table(self._stats))
        return [_stats(row) for row in rows if len(row) - 3 >= len(_OF_OLD_PARTITIONS)]

    def _disk(self, device: Path) -> Iterator[GuestDiskInfo]:
        """A disk and its partitions; nothing for a drive without a medium, or a loop device without a file."""
        node = self._devices.node(device)
        if not node or attribute(device / "size") in {"", "0"}:
            return
        virtual = self._devices.is_virtual(device)
        yield GuestDiskInfo(
            name=node,
            partition=False,
            dependencies=self._dependencies(device),
            address=UNSET if virtual else (disk_address(device, self._devices) or UNSET),
            alias=self._devices.mapper_name(device) or UNSET,
        )
        for partition in map(self._devices.node, self._devices.partitions(device)):
            if partition:
                yield GuestDiskInfo(name=partition, partition=True, dependencies=[node])

    def _dependencies(self, device: Path) -> list[str]:
        return [node for node in map(self._devices.node, self._devices.lower(device)) if node]


def _stats(row: list[str]) -> GuestDiskStatsInfo:
    major, minor, name, *numbers = row
    columns = _OF_OLD_PARTITIONS if len(numbers) == len(_OF_OLD_PARTITIONS) else _COLUMNS
    counters = {column: int(number) for column, number in zip(columns, numbers, strict=False)}
    return GuestDiskStatsInfo(name=name, major=int(major), minor=int(minor), stats=GuestDiskStats(**counters))
