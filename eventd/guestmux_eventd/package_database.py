"""Where package managers keep what is installed, and how it is read without disturbing them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from guestmux_protocol.errors import GuestmuxError
from guestmux_protocol.packages import Package, read_dpkg, read_rpm

DPKG = Path("/var/lib/dpkg")
RPM = (Path("/usr/lib/sysimage/rpm"), Path("/var/lib/rpm"))
"""Where distributions have it: Fedora and openSUSE, and those from before the move."""

_RPM_NAME = "rpmdb.sqlite"


class DatabaseUnreadable(GuestmuxError):
    """The packages cannot be read now."""


class Database(Protocol):
    """The packages of one package manager."""

    @property
    def manager(self) -> Literal["dpkg", "rpm"]:
        """Whose it is."""

    @property
    def directory(self) -> Path:
        """Where it is."""

    def concerns(self, name: str) -> bool:
        """Whether a file there is part of it."""

    def read(self) -> Iterator[Package]:
        """Every installed package; takes a while, and may be called in a thread.

        Raises:
            DatabaseUnreadable: not now.
        """


@dataclass(frozen=True)
class Dpkg:
    """dpkg's `status`, which it replaces as a whole whenever something changed."""

    directory: Path = DPKG
    manager: Literal["dpkg", "rpm"] = "dpkg"

    def concerns(self, name: str) -> bool:
        """Whether it is the file."""
        return name == "status"

    def read(self) -> Iterator[Package]:
        """See `Database`."""
        try:
            with (self.directory / "status").open("rb") as lines:
                yield from read_dpkg(lines)
        except OSError as error:
            raise DatabaseUnreadable(str(error)) from error


@dataclass(frozen=True)
class Rpm:
    """rpm's SQLite database."""

    directory: Path
    manager: Literal["dpkg", "rpm"] = "rpm"

    def concerns(self, name: str) -> bool:
        """Whether it is the file, or SQLite's log beside it."""
        return name.startswith(_RPM_NAME)

    def read(self) -> Iterator[Package]:
        """See `Database`.

        As an immutable file: we may neither lock it nor make the shared memory that its log needs. rpm empties the log
        when it is done, and that is told as a change as well.
        """
        try:
            with closing(
                sqlite3.connect(f"{(self.directory / _RPM_NAME).as_uri()}?mode=ro&immutable=1", uri=True)
            ) as database:
                for (header,) in database.execute("SELECT blob FROM Packages"):
                    package = read_rpm(header) if isinstance(header, bytes) else None
                    if package:
                        yield package
        except sqlite3.Error as error:
            raise DatabaseUnreadable(str(error)) from error


def databases() -> list[Database]:
    """Those that this machine has."""
    found: list[Database] = [Dpkg()] if (DPKG / "status").exists() else []
    return found + [Rpm(directory) for directory in RPM if (directory / _RPM_NAME).exists()][:1]
