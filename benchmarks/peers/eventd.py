"""guestmux-eventd as it is shipped, with a qga and a qmp port on unix sockets."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.processes import environment, running, shipped

NAME = "eventd"

EMIT_RATE = "1000000"
"""Events a second that an agent may emit here: the limit is not what is measured."""

NO_CONFIG = Path("/dev/null")

READY_PATIENCE = 30.0
"""Seconds until it must be ready."""


@dataclass(frozen=True, slots=True)
class Eventd:
    """A running eventd.

    Attributes:
        process: the process.
        qga: the path of its qga port.
        qmp: that of its qmp port.
    """

    process: subprocess.Popen[str]
    qga: str
    qmp: str


@contextmanager
def starting_eventd(
    directory: Path, bus: str, *, library: str = "", notify: Path | None = None, config: Path = NO_CONFIG
) -> Iterator[Eventd]:
    """Run one; it may not be there yet.

    Args:
        directory: where its sockets and its log are.
        bus: the address of its bus.
        library: its D-Bus library; empty for the default.
        notify: the socket that it tells when it is ready.
        config: its configuration.
    """
    qga, qmp = directory / "eventd.qga", directory / "eventd.qmp"
    command = shipped("guestmux_eventd", "--config", str(config), "--bus", bus, "--emit-rate", EMIT_RATE)
    command += ["--port", f"qga=unix-listen:{qga}", "--port", f"qmp=unix-listen:{qmp}"]
    variables = environment(library) | ({"NOTIFY_SOCKET": str(notify)} if notify else {})
    with running(command, variables, directory / "eventd.log") as process:
        yield Eventd(process, str(qga), str(qmp))


@contextmanager
def eventd(directory: Path, bus: str, library: str = "", config: Path = NO_CONFIG) -> Iterator[Eventd]:
    """Run one that serves its ports and is on the bus; the arguments are those of `starting_eventd`."""
    notify = directory / "eventd.notify"
    notify.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(str(notify))
        ready.settimeout(READY_PATIENCE)
        with starting_eventd(directory, bus, library=library, notify=notify, config=config) as daemon:
            ready.recv(64)
            yield daemon
