"""Whatever takes qemu-ga's command line, run as a black box: the stock one, and guestmux-qga."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.support.qemu_ga import QEMU_GA, REPLY_TIMEOUT

STOCK = [str(QEMU_GA)]
OURS = [sys.executable, "-X", "dev", "-W", "error", "-m", "guestmux_qga"]

START_PATIENCE = 60.0
"""Seconds that a process may take to listen; Python with all its checks takes half of one."""


class Client:
    """A host at an agent's socket."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(REPLY_TIMEOUT)
        self.connection = connection
        self._lines = connection.makefile("rb")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave."""
        self._lines.close()
        self.connection.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.connection.sendall(data)

    def line(self) -> bytes:
        """The next line, without its end."""
        return self._lines.readline().removesuffix(b"\n")

    def rest(self) -> bytes:
        """Everything until the agent leaves."""
        return self._lines.read()

    def ask_raw(self, request: bytes) -> Any:
        """The reply to one request."""
        self.send(request)
        return json.loads(self.line())

    def ask(self, command: str, **arguments: Any) -> Any:
        """The reply to a command; `_` in an argument's name stands for `-`."""
        members = {name.replace("_", "-"): value for name, value in arguments.items()}
        return self.ask_raw(json.dumps({"execute": command, "arguments": members}).encode())

    def value(self, command: str, **arguments: Any) -> Any:
        """The result of a command that has to succeed."""
        reply = self.ask(command, **arguments)
        assert "return" in reply, reply
        return reply["return"]

    def desc(self, command: str, **arguments: Any) -> tuple[str, str]:
        """The class and text of a command that has to fail."""
        reply = self.ask(command, **arguments)
        assert "error" in reply, reply
        return reply["error"]["class"], reply["error"]["desc"]


class AgentProcess:
    """An agent that listens at a unix socket handed to it, so that nobody waits for it to start.

    Args:
        program: STOCK or OURS.
        directory: for its state and its socket; its working directory, too.
        options: further command line options.
        environment: further variables.
    """

    def __init__(
        self,
        program: Iterable[str],
        directory: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.path = str(directory / "socket")
        self._log = (directory / "stderr").open("wb")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path)
            listener.listen()
            hand_over = f'exec 3<&{listener.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
            self.process = subprocess.Popen(
                ["bash", "-c", hand_over, "-", *program, "-t", str(directory), *options],
                cwd=directory,
                env={**os.environ, "QGA_CONF": "/no/such/file", **(environment or {})},
                pass_fds=[listener.fileno()],
                stderr=self._log,
            )

    def __enter__(self) -> AgentProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def log(self) -> str:
        """What it wrote to stderr."""
        return (self.directory / "stderr").read_text()

    def connect(self) -> Client:
        """A host."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.path)
        return Client(connection)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)


def run_agent(
    program: Iterable[str], *options: str, conf: str = "/no/such/file"
) -> subprocess.CompletedProcess[str]:
    """Run one that ends by itself."""
    environment = {**os.environ, "QGA_CONF": conf}
    return subprocess.run(
        [*program, *options], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
