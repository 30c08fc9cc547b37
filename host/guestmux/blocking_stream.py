"""A stream between this host and an agent, for scripts without async."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import anyio
from anyio.from_thread import BlockingPortal

from guestmux.guest_stream import RECEIVE_BYTES
from guestmux.guest_stream import GuestStream as AsyncGuestStream


class GuestStream:
    """An open stream; see `guestmux.GuestStream`. Iterate over it for pieces as they come.

    Args:
        portal: runs what waits.
        stream: the stream.
    """

    def __init__(self, portal: BlockingPortal, stream: AsyncGuestStream) -> None:
        self._portal = portal
        self._stream = stream

    def __repr__(self) -> str:
        return f"<blocking {self._stream!r}>"

    @property
    def reply(self) -> Any:
        """What the guest answered when it opened the stream."""
        return self._stream.reply

    def receive(self, max_bytes: int = RECEIVE_BYTES) -> bytes:
        """The next bytes; b"" when the guest has sent everything."""
        try:
            return self._portal.call(self._stream.receive, max_bytes)
        except anyio.EndOfStream:
            return b""

    def send(self, data: bytes) -> None:
        """Send all of it; waits until the guest has room."""
        self._portal.call(self._stream.send, data)

    def send_eof(self) -> None:
        """Say that nothing follows."""
        self._portal.call(self._stream.send_eof)

    def result(self) -> Any:
        """The guest's last word; see `guestmux.GuestStream.result`."""
        return self._portal.call(self._stream.result)

    def fail(self, desc: str) -> None:
        """End both directions, and tell the guest why."""
        self._portal.call(self._stream.fail, desc)

    def close(self) -> None:
        """End the stream."""
        self._portal.call(self._stream.aclose)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        if piece := self.receive():
            return piece
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
