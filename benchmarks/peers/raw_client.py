"""The host's end: bytes over a unix socket, the same code for all that are compared."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

READ_BYTES = 1 << 18
"""Most that is read at a time; more than a socket's buffer holds."""

REPLY_PATIENCE = 30.0
"""Seconds that a reply may take until the benchmark fails."""

BATCH = 256
"""Requests in one write when pipelining; two writes are under way, some 13 kB, far below any buffer's size."""

CONNECT_PAUSE = 0.0005
"""Seconds between two attempts at a socket that is not there yet; the resolution of start-up times."""


class RawClient:
    """A connection to an agent. It is closed with nothing unread, or qemu-ga would end.

    Args:
        path: the socket.
    """

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(REPLY_PATIENCE)
        try:
            self.sock.connect(path)
        except OSError:
            self.sock.close()
            raise

    def close(self) -> None:
        """Leave."""
        self.sock.close()

    def ask(self, request: bytes) -> bytes:
        """Send a request and give the line that answers it."""
        self.sock.sendall(request)
        return self._line()

    def execute(self, command: str, *, key: str = "execute", **arguments: Any) -> Any:
        """Run a command that must succeed, and give what it returns."""
        request = {key: command, "arguments": {n.replace("_", "-"): v for n, v in arguments.items()}}
        return json.loads(self.ask(json.dumps(request).encode() + b"\n"))["return"]

    def latencies_us(self, request: bytes, count: int) -> list[float]:
        """Ask one request at a time; the microseconds that each took."""
        taken = []
        for _ in range(count):
            begun = time.perf_counter_ns()
            self.ask(request)
            taken.append((time.perf_counter_ns() - begun) / 1000)
        return taken

    def pipelined(self, request: bytes, batches: int) -> float:
        """Ask BATCH requests at a time, the next ones sent before these are answered; seconds that all took."""
        data, answered = request * BATCH, 0
        begun = time.perf_counter()
        for sent in range(batches):
            self.sock.sendall(data)
            answered += self._count_lines(sent * BATCH - answered)
        self._count_lines(batches * BATCH - answered)
        return time.perf_counter() - begun

    def kept_under_way(self, request: bytes, count: int, window: int) -> float:
        """Ask `count` requests, a new one as soon as fewer than `window` are unanswered; seconds that all took."""
        begun = time.perf_counter()
        self.sock.sendall(request * min(window, count))
        unsent = count - min(window, count)
        for _, data in self.arrivals(count):
            more = min(unsent, data.count(b"\n"))
            self.sock.sendall(request * more)
            unsent -= more
        return time.perf_counter() - begun

    def read_line(self) -> bytes:
        """What comes unasked: a greeting."""
        return self._line()

    def arrivals(self, count: int) -> Iterator[tuple[int, bytes]]:
        """The next lines, as they come together: the monotonic time in nanoseconds, and whole and half lines."""
        while count > 0:
            data = self._more()
            yield time.monotonic_ns(), data
            count -= data.count(b"\n")

    def _line(self) -> bytes:
        pieces = [self._more()]
        while not pieces[-1].endswith(b"\n"):
            pieces.append(self._more())
        return b"".join(pieces)

    def _count_lines(self, at_least: int) -> int:
        return sum(data.count(b"\n") for _, data in self.arrivals(at_least))

    def _more(self) -> bytes:
        data = self.sock.recv(READ_BYTES)
        if not data:
            raise EOFError("the agent closed the connection")
        return data


def connect(path: str, patience: float = REPLY_PATIENCE) -> RawClient:
    """Connect to a socket as soon as somebody listens on it.

    Args:
        path: the socket.
        patience: seconds.

    Raises:
        TimeoutError: nobody does.
    """
    ends = time.monotonic() + patience
    while time.monotonic() < ends:
        try:
            return RawClient(path)
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(CONNECT_PAUSE)
    raise TimeoutError(f"nobody listens on {path}")
