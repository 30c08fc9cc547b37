"""A real qemu-ga to compare with."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

QEMU_GA = shutil.which("qemu-ga", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")

REPLY_TIMEOUT = 60.0
"""Seconds that an answer may take; qemu-ga gives one in a fraction of a millisecond."""


class QemuGa:
    """One connection to qemu-ga."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(REPLY_TIMEOUT)
        self._connection = connection
        self._lines = connection.makefile("rb")

    def ask(self, request: bytes) -> Any:
        """The reply to one request."""
        self._connection.sendall(request + b"\n")
        return json.loads(self._lines.readline())


@contextmanager
def qemu_ga(directory: Path) -> Iterator[QemuGa]:
    """Run one that is handed a socket already listening, as systemd does it, so that nobody waits for it to start."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as connection:
        listener.bind(str(directory / "socket"))
        listener.listen()
        connection.connect(str(directory / "socket"))
        hand_over = f'exec 3<&{listener.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$0" -m unix-listen -t "$1"'
        command = ["bash", "-c", hand_over, str(QEMU_GA), str(directory)]
        with subprocess.Popen(command, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL) as process:
            try:
                yield QemuGa(connection)
            finally:
                process.kill()


class QemuGaService:
    """A qemu-ga behind a socket that outlives it, as systemd's socket activation has it.

    Args:
        directory: where the socket and its state are.
        options: further command line options.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        self.path = str(directory / "qemu-ga")
        self._options = [str(QEMU_GA), "-m", "unix-listen", "-t", str(directory), *options]
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> QemuGaService:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._listener.close()

    def start(self) -> None:
        """Start it."""
        fd = self._listener.fileno()
        hand_over = f'exec 3<&{fd}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$0" "$@"'
        command = ["bash", "-c", hand_over, *self._options]
        self.process = subprocess.Popen(command, pass_fds=[fd], stderr=subprocess.DEVNULL)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it; whoever connects waits for the next one."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
