"""The messages on the guest's bus, one by one, as `busctl monitor` prints them."""

import json
import os
import select
import subprocess
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

MESSAGE_SECONDS = 10.0
"""Time that a message has to come."""

READY = b"Monitoring bus message stream"


class MonitorError(Exception):
    """The message did not come, or the monitor ended."""


class BusMonitor:
    """A running monitor; a context manager that ends it.

    Args:
        process: `busctl monitor --json=short`.
        what: it listens to, for errors.
    """

    def __init__(self, process: "subprocess.Popen[str]", what: str) -> None:
        self._process = process
        self._what = what
        self._buffer = b""

    def __enter__(self) -> Self:
        """Wait until nothing can be missed any more."""
        deadline = time.monotonic() + MESSAGE_SECONDS
        while READY not in self._line(deadline):
            pass
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the monitor."""
        self._process.kill()
        self._process.communicate()

    def wait(
        self, member: str, matching: Callable[[dict[str, Any]], bool] = bool, seconds: float = MESSAGE_SECONDS
    ) -> dict[str, Any]:
        """Skip messages until one has this member and matches; gives it.

        Args:
            member: as "Lock".
            matching: what else it must fulfil.
            seconds: until it is given up.

        Raises:
            MonitorError: none came.
        """
        deadline = time.monotonic() + seconds
        while True:
            message = self._message(deadline)
            if message.get("member") == member and matching(message):
                return message

    def _message(self, deadline: float) -> dict[str, Any]:
        line = b""
        while not line.startswith(b"{"):
            line = self._line(deadline)
        message: dict[str, Any] = json.loads(line)
        return message

    def _line(self, deadline: float) -> bytes:
        while b"\n" not in self._buffer:
            self._buffer += self._read(deadline)
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def _read(self, deadline: float) -> bytes:
        pipe = self._process.stdout
        if pipe is None or not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise MonitorError(f"{self._what}: no such message in time; read so far: {self._buffer!r}")
        data = os.read(pipe.fileno(), 65536)
        if not data:
            raise MonitorError(f"{self._what}: ended with {self._buffer!r}")
        return data
