"""A real qemu-ga to compare with."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

QEMU_GA = shutil.which("qemu-ga", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")

REPLY_TIMEOUT = 10.0
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
