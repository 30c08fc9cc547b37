"""A guest in a container: everything a booted guest can do, and live processes and files besides."""

import fcntl
import os
import shlex
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.guest.container import Container, booted
from tests.guest.install import PORTS, installed_layers
from tests.guest.monitor import BusMonitor
from tests.guest.system import GuestSystem
from tests.guest.terminal import Terminal

WAIT_SECONDS = 10.0
"""All states come about in well under a second on an idle machine."""

TIOCGPTN = 0x80045430
"""Gives a pty's number (linux/tty.h); Python's termios has no name for it before 3.13."""

TIOCSPTLCK = 0x40045431
"""Unlocks a pty."""


class Guest(GuestSystem):
    """A booted container.

    Everything here blocks; from an async test go through `anyio.to_thread.run_sync`. Processes begun by `start` and
    `monitor` are killed when the thread that began them ends, so begin those in the test's own.

    Attributes:
        container: the machine below.
    """

    wait_seconds = WAIT_SECONDS

    def __init__(self, container: Container) -> None:
        self.container = container

    def __repr__(self) -> str:
        """The container's."""
        return f"<Guest {self.container.name}>"

    def port(self, dialect: str) -> Path:
        """The socket of eventd's port, "qmp" or "qga", as this machine reaches it."""
        return self.container.path(PORTS[dialect])

    def execute(
        self,
        command: Sequence[str],
        *,
        user: str | None,
        cgroup: str,
        environment: Mapping[str, str] | None,
        timeout: float,
    ) -> "subprocess.CompletedProcess[str]":
        """Run words to their end; see `GuestSystem.execute`."""
        inside = self.container.command(command, user=user, cgroup=cgroup, environment=environment)
        return subprocess.run(
            inside, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )

    def start(
        self,
        command: str | Sequence[str],
        *,
        user: str | None = None,
        cgroup: str = "init.scope",
        environment: Mapping[str, str] | None = None,
    ) -> "subprocess.Popen[str]":
        """Begin a command; see `GuestSystem.start`. It is killed when the thread that began it ends."""
        words = ["sh", "-c", command] if isinstance(command, str) else command
        inside = self.container.command(words, user=user, cgroup=cgroup, environment=environment)
        return subprocess.Popen(
            inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def open_terminal(self) -> Terminal:
        """A new pty."""
        fd = os.open(self.container.path("/dev/pts/ptmx"), os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        [number] = struct.unpack("i", fcntl.ioctl(fd, TIOCGPTN, b"\0" * 4))
        fcntl.ioctl(fd, TIOCSPTLCK, struct.pack("i", 0))
        return Terminal(
            fd, f"pts/{number}", f"container-getty@{number}.service", self.wait_seconds, self.journal
        )

    def seat_variables(self, user: str) -> dict[str, str]:
        """None: a container's seat has no virtual terminals."""
        del user
        return {}

    @contextmanager
    def monitor(self, *matches: str) -> Iterator[BusMonitor]:
        """Listen to the system bus, from before the block begins to its end.

        Args:
            matches: D-Bus match rules, as "interface=org.freedesktop.login1.Session"; all messages when none.
        """
        words = ["busctl", "monitor", "--json=short", *(f"--match={match}" for match in matches)]
        with BusMonitor(self.start(words), shlex.join(words)) as monitor:
            yield monitor


@contextmanager
def booted_guest() -> Iterator[Guest]:
    """Boot a guest that has this tree's guestmux installed; it is gone after the block.

    Raises:
        ContainerError, ImageError, InstallError: it could not be made.
    """
    with booted(installed_layers()) as container:
        yield Guest(container)
