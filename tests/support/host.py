"""The host's end of a connection in tests: raw bytes in, decoded messages out, nothing of the client library."""

from __future__ import annotations

import json
import socket
from collections import deque
from typing import Any

import anyio


class RawHost:
    """A host that writes bytes and reads messages, over a blocking-free socket.

    Args:
        sock: the host's end; taken over.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._buffer = b""
        self._lines: deque[bytes] = deque()

    @classmethod
    async def connect(cls, path: str) -> RawHost:
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        try:
            sock.connect(path)
        except OSError:
            sock.close()
            raise
        return cls(sock)

    async def send(self, data: bytes) -> None:
        while data:
            try:
                data = data[self.sock.send(data) :]
            except BlockingIOError:
                await anyio.wait_writable(self.sock)

    async def line(self) -> bytes:
        while not self._lines:
            await anyio.wait_readable(self.sock)
            chunk = self.sock.recv(1 << 20)
            if not chunk:
                raise EOFError(f"the guest closed; left over: {self._buffer!r}")
            *lines, self._buffer = (self._buffer + chunk).split(b"\n")
            self._lines.extend(lines)
        return self._lines.popleft()

    async def message(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads((await self.line()).lstrip(b"\xff"))
        return decoded

    async def event(self, name: str) -> dict[str, Any]:
        """The data of the next event of this name; what comes before it is skipped."""
        while True:
            message = await self.message()
            if message.get("event") == name:
                data: dict[str, Any] = message["data"]
                return data

    async def ask(self, command: str, *, key: str = "execute", **arguments: Any) -> dict[str, Any]:
        """Send a request and give its reply; events in between are skipped."""
        request = {
            key: command,
            "arguments": {n.replace("_", "-"): v for n, v in arguments.items()},
            "id": command,
        }
        await self.send(json.dumps(request).encode())
        while True:
            message = await self.message()
            if message.get("id") == command:
                return message

    async def negotiate(self, *capabilities: str) -> None:
        """Read a qmp port's greeting and end the negotiation."""
        assert "QMP" in await self.message()
        assert (await self.ask("qmp_capabilities", enable=list(capabilities)))["return"] == {}

    async def subscribe(self, *events: str) -> dict[str, Any]:
        """Subscribe, and give the snapshot's sessions by id."""
        reply = await self.ask("guest-event-subscribe", events=list(events) or ["*"])
        return {session["session"]: session for session in reply["return"]["snapshot"]["sessions"]}

    def take_back(self, data: bytes) -> None:
        """Have bytes that were received elsewhere read next."""
        *lines, self._buffer = data.split(b"\n")
        self._lines.extend(lines)

    def take_rest(self) -> bytes:
        """What was received and not read."""
        rest = b"\n".join([*self._lines, self._buffer])
        self._lines.clear()
        self._buffer = b""
        return rest

    def nothing_more(self) -> bool:
        """Whether nothing has come that was not read."""
        try:
            more = self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            more = b""
        return not (self._lines or self._buffer or more)

    def close(self) -> None:
        self.sock.close()
