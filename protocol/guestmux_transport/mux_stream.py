"""A stream as a pair of async byte streams, on hosts and in agents alike."""

from __future__ import annotations

import asyncio
from typing import Final, Literal, Protocol

import anyio
from anyio.abc import ByteStream

from guestmux_protocol.mux import Close, Failure, Multiplexer, Open
from guestmux_protocol.mux.stream_queue import StreamQueue
from guestmux_transport.flag import Flag
from guestmux_transport.mux_errors import MuxLost, StreamFailed

__all__ = ["IncomingStream", "MuxLost", "MuxStream", "StreamFailed"]

STEPS_PER_TURN: Final = 16
"""Calls answered without a pause; then other tasks get their turn."""

RECEIVE_BYTES: Final = 64 * 1024
"""Most that one receive() gives unless told otherwise: what one DATA carries."""

GIVEN_UP: Final = Failure("GenericError", "the stream was given up", "host")
"""What the peer is told when a stream is closed before its end."""


class StreamOwner(Protocol):
    """The connection that a stream belongs to."""

    mux: Multiplexer
    party: Literal["host", "agent"]

    def wake(self) -> None:
        """Have what is queued sent."""

    def window(self) -> int:
        """Bytes that a stream's peer may send beyond what was received, with as many streams as there are."""

    def forget(self, number: int) -> None:
        """A stream needs no more news."""

    def accept(self, number: int, reply: bytes, group: str) -> MuxStream:
        """Accept a stream that the peer opened."""

    def refuse(self, number: int, error_class: str, desc: str) -> None:
        """Refuse a stream that the peer opened."""


class MuxStream(ByteStream):
    """One open stream. Made by MuxConnection; ends with `async with`, or with aclose().

    What was not received yet is bounded by the window, and slows the sender down. One task may receive and another
    send at a time.

    Args:
        owner: the connection.
        number: the stream's id there.
        reply: the server's answer to OPEN; JSON.
        window: bytes that the peer may have sent beyond what was received here; granted already. It follows the
            owner's as bytes come.

    Attributes:
        number: the stream's id.
        reply: the server's answer to OPEN; JSON.
    """

    def __init__(self, owner: StreamOwner, number: int, reply: bytes, window: int) -> None:
        self.number = number
        self.reply = reply
        self._owner = owner
        self._window = window
        self._received = StreamQueue()
        self._consumed = 0
        self._receiver: asyncio.Future[None] | None = None  # waits for bytes, or the end
        self._end = Flag()
        self._room = asyncio.Event()  # credit, or the end
        self._receive_guard = _Guard("receiving from")
        self._send_guard = _Guard("sending to")
        self._steps_left = STEPS_PER_TURN
        self._peer_closed: Close | None = None
        self._lost: str | None = None
        self._eof_sent = False
        self._closed = False

    def __repr__(self) -> str:
        state = "CLOSED" if self._closed else "LOST" if self._lost is not None else "OPEN"
        return f"<MuxStream {self.number} {state}>"

    # What the program does

    async def receive(self, max_bytes: int = RECEIVE_BYTES) -> bytes:
        """Give the next bytes.

        Args:
            max_bytes: most that it gives.

        Raises:
            anyio.EndOfStream: the peer has sent everything.
            StreamFailed: the stream was broken.
            MuxLost: the connection ended.
            anyio.ClosedResourceError: it was closed here.
        """
        if self._receive_guard.held or not self._received.size or self._steps_left <= 0:
            await self._wait_for_bytes()
        self._steps_left -= 1
        return self._take(max_bytes)

    async def send(self, item: bytes) -> None:
        """Send all of it; waits for credit. What was queued when this is cancelled is still sent.

        Args:
            item: bytes that do not change afterwards.

        Raises:
            StreamFailed: the stream was broken.
            MuxLost: the connection ended.
            anyio.ClosedResourceError: it was closed here, or send_eof() was called.
        """
        if self._send_guard.held or self._steps_left <= 0:
            with self._send_guard:
                await self._let_others_run()
        self._check_sending()
        self._steps_left -= 1
        size = len(item)
        if 0 < size <= self._owner.mux.sendable(self.number):
            self._owner.mux.send(self.number, item)
            self._owner.wake()
        elif size:
            with self._send_guard:
                await self._send_as_credit_comes(memoryview(item))

    async def send_eof(self) -> None:
        """Say that nothing follows; what is queued still goes out. The peer may go on sending."""
        self.close()

    def close(self, value: bytes | None = None) -> None:
        """As send_eof(), with a server's result: JSON. Harmless the second time, and on a stream that is over."""
        if not self._eof_sent and not self._closed:
            self._eof_sent = True
            self._owner.mux.close(self.number, None, value)
            self._owner.wake()
            if self._peer_closed:
                self._owner.forget(self.number)

    async def result(self) -> bytes | None:
        """Wait for the server's last word: JSON, or None if it has none.

        It comes behind everything the server sends, so somebody has to receive that meanwhile.

        Raises:
            StreamFailed: the stream was broken.
            MuxLost: the connection ended.
            anyio.ClosedResourceError: it was closed here.
        """
        while self._peer_closed is None:
            self._check_alive()
            self._end.clear()
            await self._end.wait()
        self._check_failure()
        return self._peer_closed.value

    def fail(self, error_class: str, desc: str) -> None:
        """Break both directions, and tell the peer why."""
        self._abort(Failure(error_class, desc, self._owner.party))

    async def aclose(self) -> None:
        """End the stream. Unless both sides were done, the peer is told that it was given up."""
        self.give_up()
        await asyncio.sleep(0)

    def give_up(self) -> None:
        """As aclose(), at once."""
        if self._peer_closed is None or not self._eof_sent:
            self._abort(Failure(GIVEN_UP.error_class, GIVEN_UP.desc, self._owner.party))
        self._close()

    async def _wait_for_bytes(self) -> None:
        with self._receive_guard:
            await self._let_others_run()
            while not self._received.size:
                self._check_receiving()
                # An Event would do. With many streams one of them waits for nearly each frame, and this is faster.
                self._receiver = asyncio.get_running_loop().create_future()
                await self._receiver

    async def _send_as_credit_comes(self, rest: memoryview) -> None:
        while rest:
            room = self._owner.mux.sendable(self.number)
            if room:
                self._owner.mux.send(self.number, rest[:room])
                self._owner.wake()
                rest = rest[room:]
            else:
                self._room.clear()
                await self._room.wait()
                self._check_sending()

    # What the connection does

    def data_came(self, data: bytes) -> None:
        """Take bytes from the peer."""
        if self._closed:
            return
        self._received.add(data)
        if self._receiver is not None:
            self._wake_receiver()

    def credit_came(self) -> None:
        """The peer takes more."""
        self._room.set()

    def close_came(self, close: Close) -> None:
        """The peer sends nothing more, or broke the stream."""
        self._peer_closed = close
        if self._eof_sent or close.failure:
            self._owner.forget(self.number)
        self._wake_all()

    def lose(self, reason: str) -> None:
        """The connection is over."""
        if self._lost is None:
            self._lost = reason
            self._wake_all()

    # Both

    def _take(self, most: int) -> bytes:
        piece = self._received.take(most)
        self._consumed += len(piece)
        if self._consumed >= self._window // 2 and self._peer_closed is None:
            self._grant()
        return piece if type(piece) is bytes else bytes(piece)

    def _grant(self) -> None:
        """Let as much come as was consumed; less or more where the window is to be another by now."""
        window = self._owner.window()
        count = self._consumed + window - self._window
        self._window += max(0, count) - self._consumed
        self._consumed = 0
        if count > 0:
            self._owner.mux.grant(self.number, count)
            self._owner.wake()

    def _abort(self, failure: Failure) -> None:
        self._eof_sent = True
        self._owner.mux.close(self.number, failure)
        self._owner.wake()
        self._close()

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            self._received.clear()
            self._owner.forget(self.number)
            self._wake_all()

    def _wake_receiver(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None and not receiver.done():
            receiver.set_result(None)

    def _wake_all(self) -> None:
        self._wake_receiver()
        self._end.set()
        self._room.set()

    def _check_receiving(self) -> None:
        self._check_failure()
        if self._peer_closed is not None and not self._closed:
            raise anyio.EndOfStream
        self._check_alive()

    def _check_sending(self) -> None:
        self._check_failure()
        if self._eof_sent:
            raise anyio.ClosedResourceError
        self._check_alive()

    def _check_failure(self) -> None:
        if self._peer_closed is not None and (failure := self._peer_closed.failure):
            raise StreamFailed(failure.error_class, failure.desc, failure.party)

    def _check_alive(self) -> None:
        if self._closed:
            raise anyio.ClosedResourceError
        if self._lost is not None:
            raise MuxLost(self._lost)

    async def _let_others_run(self) -> None:
        if self._steps_left <= 0:
            self._steps_left = STEPS_PER_TURN
            await asyncio.sleep(0)


class _Guard:
    """As anyio.ResourceGuard; who does not wait need not enter it, but has to look whether another is in it."""

    __slots__ = ("_action", "held")

    def __init__(self, action: str) -> None:
        self._action = action
        self.held = False

    def __enter__(self) -> None:
        if self.held:
            raise anyio.BusyResourceError(self._action)
        self.held = True

    def __exit__(self, *_error: object) -> None:
        self.held = False


class IncomingStream:
    """A stream that the asker wants; to be accepted or refused once.

    Attributes:
        id: its number.
        command: the command's name.
        arguments: JSON text, unchecked.
        context: JSON text, unchecked.
    """

    def __init__(self, owner: StreamOwner, opened: Open) -> None:
        self.id = opened.stream
        self.command = opened.command
        self.arguments = opened.arguments
        self.context = opened.context
        self._owner = owner

    def __repr__(self) -> str:
        return f"<IncomingStream {self.id} {self.command}>"

    async def accept(self, reply: bytes, *, group: str = "") -> MuxStream:
        """Open it.

        Args:
            reply: JSON.
            group: what shares turns with it.

        Raises:
            ValueError: it was answered before.
            MuxTooLarge: the reply is too large; it is still to be answered.
            MuxLost: the connection ended.
        """
        return self._owner.accept(self.id, reply, group)

    def refuse(self, error_class: str, desc: str) -> None:
        """Answer that there will be none.

        Raises:
            ValueError: it was answered before.
        """
        self._owner.refuse(self.id, error_class, desc)
