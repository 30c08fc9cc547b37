"""A host that waits: bytes out, decoded messages in, over QEMU's end of a port or any other unix socket."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ANSWER_SECONDS = 60.0
"""Time that the guest has for its next word, unless told."""


class WireHost:
    """A connected host; a context manager that leaves.

    Args:
        path: of the socket.
        patience: seconds that the guest has for its next word.
    """

    def __init__(self, path: Path, patience: float = ANSWER_SECONDS) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        # Blocking: QEMU's backlog holds one, and the next waits here until that one is taken.
        self.sock.connect(str(path))
        self.sock.settimeout(patience)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Hang up, whatever is under way."""
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def request(self, command: str, *, key: str = "execute", request_id: str = "", **arguments: Any) -> None:
        """Send a request and wait for nothing; its id is the command's name, unless given."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.send(json.dumps({key: command, "arguments": named, "id": request_id or command}).encode())

    def message(self) -> dict[str, Any]:
        """The next message.

        Raises:
            TimeoutError: none comes.
            EOFError: the other side hung up.
        """
        decoded: dict[str, Any] = json.loads(self.line().lstrip(b"\xff"))
        return decoded

    def line(self) -> bytes:
        """The next line, as it is; see `message`."""
        while b"\n" not in self._buffer:
            data = self.sock.recv(1 << 20)
            if not data:
                raise EOFError(f"the guest's side hung up after {self._buffer!r}")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def skip_until(self, mark: bytes) -> None:
        """Drop everything up to some bytes, and them."""
        while mark not in self._buffer:
            data = self.sock.recv(1 << 20)
            if not data:
                raise EOFError(f"the guest's side hung up before {mark!r}")
            self._buffer = self._buffer[-len(mark) :] + data
        self._buffer = self._buffer.partition(mark)[2]

    def reply(self, request_id: str) -> dict[str, Any]:
        """The reply to the request with this id; what comes before it is skipped."""
        while (message := self.message()).get("id") != request_id:
            pass
        return message

    def ask(self, command: str, *, key: str = "execute", **arguments: Any) -> dict[str, Any]:
        """Send a request and give its reply; events before it are skipped."""
        self.request(command, key=key, **arguments)
        return self.reply(command)

    def event(self, name: str) -> dict[str, Any]:
        """The data of the next event of this name; what comes before it is skipped."""
        while (message := self.message()).get("event") != name:
            pass
        data: dict[str, Any] = message["data"]
        return data

    def greeted(self, *capabilities: str) -> Self:
        """Read a qmp port's greeting, which must come first, and end the negotiation."""
        first = self.message()
        assert "QMP" in first, first
        assert self.ask("qmp_capabilities", enable=list(capabilities)) == {
            "return": {},
            "id": "qmp_capabilities",
        }
        return self
