"""A stream between this host and an agent in the guest: bytes both ways, as fast as the slower of the two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anyio.abc import ByteStream

from guestmux.errors import ConnectionLost, StreamFailed, UnexpectedReply
from guestmux_protocol.errors import JsonError
from guestmux_protocol.json_bounded import decode_bounded
from guestmux_protocol.messages import GENERIC_ERROR
from guestmux_transport import mux_errors
from guestmux_transport.mux_stream import MuxStream

RECEIVE_BYTES = 64 * 1024
"""Bytes that one receive() gives at most by default: what one DATA frame carries."""


class GuestStream(ByteStream):
    """An open stream. Made by `Guest.stream`; ends with `async with`, or with `aclose`.

    Neither side sends more than the other has room for, so a consumer that does not receive slows down whoever
    sends, up to the process or the file in the guest, and nobody else. One task may receive and another send.

    Args:
        stream: the stream of the connection.
        command: what opened it, for messages.
        reply: what the guest answered.
        why_lost: tells why the connection ended, when it did.

    Attributes:
        reply: what the guest answered when it opened the stream, as JSON values.
    """

    def __init__(self, stream: MuxStream, command: str, reply: Any, why_lost: Callable[[], str]) -> None:
        self.reply = reply
        self._stream = stream
        self._command = command
        self._why_lost = why_lost

    def __repr__(self) -> str:
        return f"<GuestStream {self._command} {self._stream!r}>"

    async def receive(self, max_bytes: int = RECEIVE_BYTES) -> bytes:
        """The next bytes.

        Raises:
            anyio.EndOfStream: the guest has sent everything.
            StreamFailed: the guest ended the stream, and says why.
            ConnectionLost: the connection ended.
            anyio.ClosedResourceError: the stream was ended here.
        """
        try:
            return await self._stream.receive(max_bytes)
        except (mux_errors.StreamFailed, mux_errors.MuxLost) as error:
            raise self._translated(error) from None

    async def send(self, item: bytes) -> None:
        """Send all of it; waits until the guest has room. Raises what `receive` raises, but for EndOfStream.

        Args:
            item: what must not change afterwards.
        """
        try:
            await self._stream.send(item)
        except (mux_errors.StreamFailed, mux_errors.MuxLost) as error:
            raise self._translated(error) from None

    async def send_eof(self) -> None:
        """Say that nothing follows. What the guest sends may still be received."""
        await self._stream.send_eof()

    async def result(self) -> Any:
        """The guest's last word, as JSON values: how a process ended, the checksum of a file; None where it has none.

        Waits for it. It comes after everything that the guest sends, which has to be received meanwhile.

        Raises:
            StreamFailed: the guest ended the stream, and says why.
            ConnectionLost: the connection ended.
            UnexpectedReply: it is no JSON.
        """
        try:
            untrusted_value = await self._stream.result()
        except (mux_errors.StreamFailed, mux_errors.MuxLost) as error:
            raise self._translated(error) from None
        try:
            return None if untrusted_value is None else decode_bounded(untrusted_value)
        except JsonError as error:
            raise UnexpectedReply(f"the guest's last word on {self._command}: {error.desc}") from None

    async def fail(self, desc: str) -> None:
        """End both directions, and tell the guest why; what was sent may be thrown away there."""
        self._stream.fail(GENERIC_ERROR, desc)

    async def aclose(self) -> None:
        """End the stream. Where the guest still sends, or we did not say `send_eof`, it is told that we gave up."""
        await self._stream.aclose()

    def _translated(self, error: mux_errors.StreamFailed | mux_errors.MuxLost) -> Exception:
        if isinstance(error, mux_errors.StreamFailed):
            return StreamFailed(error.error_class, error.desc, error.party)
        return ConnectionLost(self._why_lost())
