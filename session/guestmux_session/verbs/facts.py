"""guest-get-host-name, -osinfo, -timezone, -time and -load."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.facts import (
    GuestGetHostName,
    GuestGetLoad,
    GuestGetOsinfo,
    GuestGetTime,
    GuestGetTimezone,
    GuestHostName,
    GuestLoadAverage,
    GuestOSInfo,
    GuestTimezone,
)
from guestmux_session.declarations import command_of
from guestmux_session.errors import CommandError
from guestmux_session.verbs.kernel_files import PROCFS, properties, read_table

OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
"""Where os-release(5) says that the file is, the first that there is."""

OS_RELEASE_VARIABLE = "QGA_OS_RELEASE"
"""Names another file, as in qemu-ga."""

_OS_MEMBERS = ("id", "name", "pretty_name", "version", "version_id", "variant", "variant_id")

_IN_DOUBLE_QUOTES = re.compile(r'"((?:[^"\\]|\\.)*)')
_IN_SINGLE_QUOTES = re.compile(r"'([^']*)")
_BARE = re.compile(r"([^\s;]*)")
_ESCAPED = re.compile(r'\\([$"\'\\`])')


class Facts:
    """Tells what the guest is.

    Args:
        procfs: where procfs is mounted.
        environment: where QGA_OS_RELEASE may be.
        os_release: the files to look for where it is not.
    """

    def __init__(
        self,
        procfs: Path = PROCFS,
        environment: Mapping[str, str] = os.environ,
        os_release: Iterable[str] = OS_RELEASE,
    ) -> None:
        self._procfs = procfs
        self._environment = environment
        self._os_release = tuple(os_release)

    @command_of(GUEST["guest-get-host-name"])
    def host_name(self, _arguments: GuestGetHostName) -> GuestHostName:
        """The kernel's own; it may change while we run."""
        return GuestHostName(host_name=socket.gethostname() or "localhost")

    @command_of(GUEST["guest-get-osinfo"])
    def osinfo(self, _arguments: GuestGetOsinfo) -> GuestOSInfo:
        """Ask the kernel, and read os-release."""
        kernel = os.uname()
        release = self._release()
        said = {member: release[member.upper()] for member in _OS_MEMBERS if member.upper() in release}
        return GuestOSInfo(
            kernel_release=kernel.release, kernel_version=kernel.version, machine=kernel.machine, **said
        )

    @command_of(GUEST["guest-get-timezone"])
    def timezone(self, _arguments: GuestGetTimezone) -> GuestTimezone:
        """Read /etc/localtime again where it has changed."""
        time.tzset()
        now = time.localtime()
        return GuestTimezone(zone=now.tm_zone, offset=now.tm_gmtoff)

    @command_of(GUEST["guest-get-time"])
    def clock(self, _arguments: GuestGetTime) -> int:
        """Read the clock."""
        return time.time_ns()

    @command_of(GUEST["guest-get-load"])
    def load(self, _arguments: GuestGetLoad) -> GuestLoadAverage:
        """Read /proc/loadavg, as getloadavg(3) does."""
        try:
            one, five, fifteen = map(float, " ".join(read_table(self._procfs / "loadavg")).split()[:3])
        except (CommandError, ValueError) as error:
            raise CommandError(f"cannot query load average: {error}") from error
        return GuestLoadAverage(load1m=one, load5m=five, load15m=fifteen)

    def _release(self) -> dict[str, str]:
        """os-release's variables; none where there is no such file."""
        named = self._environment.get(OS_RELEASE_VARIABLE)
        found = map(properties, map(Path, (named,) if named else self._os_release))
        return {name: unquoted(value) for name, value in next(filter(None, found), {}).items()}


def unquoted(value: str) -> str:
    """What a value of os-release(5) means: a word, or a string in quotes, with the shell's escapes in double ones.

    qemu-ga takes single quotes for a part of the value.
    """
    if found := _IN_DOUBLE_QUOTES.match(value):
        return _ESCAPED.sub(r"\1", found[1])
    found = _IN_SINGLE_QUOTES.match(value) or _BARE.match(value)
    return found[1] if found else value
