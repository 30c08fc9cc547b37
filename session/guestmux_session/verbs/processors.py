"""guest-get-vcpus, guest-set-vcpus and guest-get-cpustats, by sysfs and /proc/stat."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.hardware import (
    GuestCpuStats,
    GuestGetCpustats,
    GuestGetVcpus,
    GuestLogicalProcessor,
    GuestSetVcpus,
)
from guestmux_session.declarations import command_of
from guestmux_session.errors import CommandError
from guestmux_session.verbs.kernel_files import PROCFS, SYSFS, failed, read_table

_PROCESSOR = re.compile(r"cpu(\d+)")

# The columns of /proc/stat (proc(5)), and how many there must be for each: some came together.
_TIMES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guestnice")
_ALWAYS = 4


class Processors:
    """Lists, counts and switches processors.

    Args:
        sysfs: where sysfs is mounted.
        procfs: where procfs is mounted.
        ticks: clock ticks a second, the unit of /proc/stat.
    """

    def __init__(self, sysfs: Path = SYSFS, procfs: Path = PROCFS, ticks: int | None = None) -> None:
        self._directory = sysfs / "devices/system/cpu"
        self._stat = procfs / "stat"
        self._ticks = ticks or os.sysconf("SC_CLK_TCK")

    @command_of(GUEST["guest-get-vcpus"])
    def get_vcpus(self, _arguments: GuestGetVcpus) -> list[GuestLogicalProcessor]:
        """List them by number."""
        return [self._get(number) for number in self._numbers()]

    @command_of(GUEST["guest-set-vcpus"])
    def set_vcpus(self, arguments: GuestSetVcpus) -> int:
        """Switch one after another, until one fails; the count says which, the error comes only of the first."""
        for count, vcpu in enumerate(arguments.vcpus):
            try:
                self._set(vcpu.logical_id, vcpu.online)
            except CommandError:
                if count == 0:
                    raise
                return count
        return len(arguments.vcpus)

    @command_of(GUEST["guest-get-cpustats"])
    def cpustats(self, _arguments: GuestGetCpustats) -> list[GuestCpuStats]:
        """Read /proc/stat."""
        return [self._stats(number, times) for number, times in _cpu_lines(read_table(self._stat))]

    def _stats(self, number: int, times: list[int]) -> GuestCpuStats:
        milliseconds = {name: time * 1000 // self._ticks for name, time in zip(_TIMES, times, strict=False)}
        return GuestCpuStats(type="linux", cpu=number, **milliseconds)

    def _numbers(self) -> list[int]:
        try:
            names = os.listdir(self._directory)  # noqa: PTH208 - names alone
        except OSError as error:
            raise failed(f"failed to list entries: {self._directory}", error) from error
        return sorted(int(found[1]) for found in map(_PROCESSOR.fullmatch, names) if found)

    def _get(self, number: int) -> GuestLogicalProcessor:
        with self._switch(number) as switch:
            online = True if switch is None else switch.read()
        return GuestLogicalProcessor(logical_id=number, online=online, can_offline=switch is not None)

    def _set(self, number: int, online: bool) -> None:
        with self._switch(number, os.O_RDWR) as switch:
            if switch is None and not online:
                raise CommandError(f"logical processor #{number} can't be offlined")
            if switch is not None and switch.read() != online:
                switch.write(online)

    @contextmanager
    def _switch(self, number: int, flags: int = os.O_RDONLY) -> Iterator[_Switch | None]:
        """A processor's switch; None for a processor that is always on."""
        # qemu-ga's paths, double slash included, for they stand in its error texts.
        directory = f"{self._directory}/cpu{number}/"
        descriptor = _open_online(directory, flags)
        if descriptor is None:
            yield None
            return
        try:
            yield _Switch(f"{directory}/online", descriptor)
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class _Switch:
    path: str
    descriptor: int

    def read(self) -> bool:
        try:
            state = os.pread(self.descriptor, 1, 0)
        except OSError as error:
            raise failed(f'pread("{self.path}")', error) from error
        if not state:
            raise CommandError(f'pread("{self.path}"): unexpected EOF')
        return state != b"0"

    def write(self, online: bool) -> None:
        try:
            os.pwrite(self.descriptor, b"1" if online else b"0", 0)
        except OSError as error:
            raise failed(f'pwrite("{self.path}")', error) from error


def _open_online(directory: str, flags: int) -> int | None:
    """The file `online` in a processor's directory; None where there is none."""
    try:
        at = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise failed(f'open("{directory}")', error) from error
    try:
        return os.open("online", flags | os.O_CLOEXEC, dir_fd=at)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise failed(f'open("{directory}/online")', error) from error
    finally:
        os.close(at)


def _cpu_lines(lines: list[str]) -> Iterator[tuple[int, list[int]]]:
    """Each processor's number and times; not those of all together."""
    for line in lines:
        name, *columns = line.split() or [""]
        found = _PROCESSOR.fullmatch(name)
        if found and len(columns) >= _ALWAYS:
            yield int(found[1]), [int(column) for column in columns]
