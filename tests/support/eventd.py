"""A real guestmux-eventd process for black-box tests: its ports, its log, its memory, its wake-ups."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from tests.support.host import RawHost

STRETCH_SECONDS = 0.5
STRETCHES = 12
"""A busy machine is some seconds behind with what was asked of it."""


class Eventd:
    """A running eventd.

    Args:
        directory: where its sockets and log are.
        bus: the D-Bus address that it uses.
        options: further command line options.
    """

    def __init__(self, directory: Path, bus: str, options: tuple[str, ...]) -> None:
        self.qga, self.qmp = str(directory / "qga"), str(directory / "qmp")
        self.log_path = directory / "log"
        self._notify = directory / "notify"
        self._command = [
            sys.executable,
            "-X",
            "dev",
            "-W",
            "error",
            "-m",
            "guestmux_eventd",
            "--config",
            "/dev/null",
        ]
        self._command += ["--bus", bus, "--port", f"qga=unix-listen:{self.qga}"]
        self._command += ["--port", f"qmp=unix-listen:{self.qmp}", *options]
        self._hosts: list[RawHost] = []
        self.process = self.start()

    @property
    def log(self) -> str:
        """What it logged so far."""
        return self.log_path.read_text()

    @property
    def memory(self) -> int:
        """Resident bytes now."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    @property
    def wakeups(self) -> int:
        """How often it went to sleep so far: what does not grow costs no CPU."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return sum(int(line.split()[1]) for line in status.splitlines() if "ctxt_switches" in line)

    async def rests(self) -> bool:
        """Whether it comes to rest: what was begun before may end first, but something that goes on never does."""
        for _ in range(STRETCHES):
            before = self.wakeups
            await anyio.sleep(STRETCH_SECONDS)
            if self.wakeups - before <= 1:
                return True
        return False

    def start(self) -> subprocess.Popen[bytes]:
        """Start it and wait until it says READY."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, self.log_path.open("ab") as log:
            self._notify.unlink(missing_ok=True)
            ready.bind(str(self._notify))
            ready.settimeout(60)
            environment = {
                **os.environ,
                "NOTIFY_SOCKET": str(self._notify),
                "PYTHONASYNCIODEBUG": "",
            }
            self.process = subprocess.Popen(self._command, stderr=log, stdout=log, env=environment)
            assert ready.recv(100) == b"READY=1"
        return self.process

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop it; returns the exit status."""
        self.process.send_signal(how)
        return self.process.wait(60)

    def close_hosts(self) -> None:
        """Close every host's end that a test left open."""
        for host in self._hosts:
            host.close()

    def _remember(self, host: RawHost) -> RawHost:
        self._hosts.append(host)
        return host

    async def qga_host(self) -> RawHost:
        """Connect to the qga port."""
        return self._remember(await RawHost.connect(self.qga))

    async def qmp_host(self) -> RawHost:
        """Connect to the qmp port and end the negotiation."""
        host = self._remember(await RawHost.connect(self.qmp))
        await host.negotiate("oob")
        return host


@contextmanager
def running_eventd(bus: str, *options: str) -> Iterator[Eventd]:
    """Run eventd for as long as the block lasts; it must live until then, stop cleanly, and log no traceback."""
    with tempfile.TemporaryDirectory(prefix="guestmux-eventd-") as directory:
        eventd = Eventd(Path(directory), bus, options)
        try:
            yield eventd
            assert eventd.process.poll() is None, eventd.log
            assert eventd.stop() == 0
            assert "Traceback" not in eventd.log, eventd.log
        finally:
            eventd.close_hosts()
            if eventd.process.poll() is None:
                eventd.stop(signal.SIGKILL)
