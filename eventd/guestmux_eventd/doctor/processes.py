"""Who runs, and who has what open, by /proc."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from guestmux_eventd.doctor.machine import Machine, user_name
from guestmux_transport.unix_table import sockets_at

_NOT_A_DAEMON = frozenset({"--doctor", "--check-config", "--help", "-h", "--version"})


class Process(Struct, frozen=True):
    """A running process.

    Args:
        pid: its number.
        name: the kernel's name for it, or the script's where it is an interpreter.
        user: who it runs as.
        arguments: its command line; empty where that is hidden.
    """

    pid: int
    name: str
    user: str
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid}, user {self.user})"


def processes(machine: Machine) -> Iterator[Process]:
    """All that can be seen."""
    for folder in machine.path("/proc").glob("[0-9]*"):
        if process := _read(folder):
            yield process


def eventd_processes(machine: Machine) -> list[Process]:
    """Running eventds."""
    return [found for found in processes(machine) if _is_eventd(found)]


def stock_agents(machine: Machine) -> list[Process]:
    """Running qemu-ga."""
    return [found for found in processes(machine) if found.name == "qemu-ga"]


def holders(machine: Machine, path: Path) -> list[Process]:
    """Who has a device open, or the socket that is bound at a path; only those whose descriptors may be seen."""
    wanted = _identity(machine, path)
    return [found for found in processes(machine) if _holds(machine, found, wanted)]


def _holds(machine: Machine, process: Process, wanted: frozenset[object]) -> bool:
    folder = machine.path(f"/proc/{process.pid}")
    return any(_same(descriptor, wanted) for descriptor in _descriptors(folder))


def _read(folder: Path) -> Process | None:
    try:
        name = (folder / "comm").read_text(errors="replace").rstrip("\n")
        command = (folder / "cmdline").read_text(errors="replace")
        user = user_name(folder.stat().st_uid)
    except OSError:
        return None  # it ended, or is hidden
    return Process(int(folder.name), name, user, tuple(command.split("\0")[:-1]))


def _is_eventd(process: Process) -> bool:
    # python3 -IS /usr/bin/guestmux-eventd, python3 -m guestmux_eventd: the name is among the first few words.
    words = {Path(word).name for word in process.arguments[:8]}
    return bool(words & {"guestmux-eventd", "guestmux_eventd"}) and not _NOT_A_DAEMON & set(process.arguments)


def _identity(machine: Machine, path: Path) -> frozenset[object]:
    """What a descriptor of it is known by: a device's number, a socket's inode."""
    try:
        status = path.stat()
    except OSError:
        return frozenset()
    if status.st_rdev:
        # Terminals of containers have the same numbers, on a file system of their own.
        return frozenset({(status.st_dev, status.st_rdev)})
    return frozenset(f"socket:[{inode}]" for inode in _listening(machine, path))


def _listening(machine: Machine, path: Path) -> set[int]:
    """Inodes of the sockets that listen at a path; each network namespace, eventd's as well, has its own list."""
    tables = ["/proc/net/unix", *(f"/proc/{eventd.pid}/net/unix" for eventd in eventd_processes(machine))]
    sockets = [found for table in tables for found in sockets_at(str(path), machine.path(table))]
    return {found.inode for found in sockets if found.listening}


def _descriptors(folder: Path) -> Iterator[Path]:
    try:
        yield from (folder / "fd").iterdir()
    except OSError:
        return


def _same(descriptor: Path, wanted: frozenset[object]) -> bool:
    try:
        link = str(descriptor.readlink())
        if link.startswith("socket:"):
            return link in wanted
        if not link.startswith("/dev/"):
            return False
        status = descriptor.stat()
        return (status.st_dev, status.st_rdev) in wanted
    except OSError:
        return False
