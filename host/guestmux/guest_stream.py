"""A stream between this host and an agent in the guest: bytes both ways, as fast as the slower of the two."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from anyio.abc import ByteStream

RECEIVE_BYTES = 64 * 1024
"""Bytes that one receive() gives at most by default: what one DATA frame carries."""


class GuestStream(ByteStream):
    """An open stream. Made by `Guest.stream`; ends with `async with`, or with `aclose`.

    Neither side sends more than the other has room for, so a consumer that does not receive slows down whoever
    sends, up to the process or the file in the guest, and nobody else.
    """

    @property
    @abstractmethod
    def reply(self) -> Any:
        """What the guest answered when it opened the stream, as JSON values."""

    @abstractmethod
    async def receive(self, max_bytes: int = RECEIVE_BYTES) -> bytes:
        """The next bytes.

        Raises:
            anyio.EndOfStream: the guest has sent everything.
            StreamFailed: the guest ended the stream, and says why.
            ConnectionLost: the connection ended.
        """

    @abstractmethod
    async def send(self, item: bytes) -> None:
        """Send all of it; waits until the guest has room. Raises what `receive` raises, but for EndOfStream."""

    @abstractmethod
    async def send_eof(self) -> None:
        """Say that nothing follows. What the guest sends may still be received."""

    @abstractmethod
    async def result(self) -> Any:
        """The guest's last word, as JSON values: how a process ended, the checksum of a file; None where it has none.

        Waits for it. It comes after everything that the guest sends, which has to be received meanwhile.

        Raises:
            StreamFailed: the guest ended the stream, and says why.
            ConnectionLost: the connection ended.
        """

    @abstractmethod
    async def fail(self, desc: str) -> None:
        """End both directions, and tell the guest why; what was sent may be thrown away there."""

    @abstractmethod
    async def aclose(self) -> None:
        """End the stream. Where the guest still sends, or we did not say `send_eof`, it is told that we gave up."""
