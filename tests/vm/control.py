"""The test's own way into the virtual machine: commands as root, over a virtio port that guestmux does not know."""

import itertools
import json
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

GRACE = 30.0
"""Seconds beyond a command's own for its reply to come: a busy emulator is slow to start a process."""

GONE = 255
"""The status of a command for a machine that is off, as ssh has it."""


class Control:
    """A connection to control_service.py.

    Args:
        path: the socket of QEMU's that is the port's other end.
    """

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("rb")
        self._ids = itertools.count()

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()

    def execute(
        self, command: Sequence[str], environment: Mapping[str, str], timeout: float
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end.

        Args:
            command: its words.
            environment: all that it has.
            timeout: seconds until the guest kills it.

        Returns:
            what became of it; of a machine that is off, status GONE.

        Raises:
            subprocess.TimeoutExpired: it was killed, or the machine does not answer at all.
        """
        request_id = next(self._ids)
        request = {
            "id": request_id,
            "command": command,
            "environment": dict(environment),
            "timeout": timeout,
        }
        self._socket.settimeout(timeout + GRACE)
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            reply = self._reply(request_id)
        except TimeoutError as error:
            raise subprocess.TimeoutExpired(command, timeout) from error
        except (EOFError, ConnectionError):
            return subprocess.CompletedProcess(command, GONE, "", "the machine is off\n")
        if reply["status"] == 124:
            raise subprocess.TimeoutExpired(command, timeout)
        return subprocess.CompletedProcess(command, reply["status"], reply["stdout"], reply["stderr"])

    def _reply(self, request_id: int) -> Any:
        while line := self._lines.readline():
            # Another number is of a command that the machine was too late with.
            if (reply := json.loads(line))["id"] == request_id:
                return reply
        raise EOFError
