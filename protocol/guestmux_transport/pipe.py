"""A byte pipe: one connection to the other side, alike for all kinds of descriptors."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from guestmux_transport.edge import ENDING, GONE, READABLE, WRITABLE
from guestmux_transport.flag import Flag
from guestmux_transport.host_mark import HostMark
from guestmux_transport.outbox import Outbox
from guestmux_transport.pipe_errors import PipeClosed

READ_BYTES: Final = 64 * 1024
"""Most that one receive() gives: few system calls, yet little enough to decode between two turns."""

STEPS_PER_TURN: Final = 16
"""receive() and drain() calls answered without a pause; then other tasks get their turn."""

SOCKET_WRITE_BYTES: Final = 256 * 1024
"""Most offered in one write to a socket; its buffer is about this large."""

FLUSH_BYTES_PER_TURN: Final = 1024 * 1024
"""Most of the pending bytes written in one turn of the loop, should the peer read as fast as we write."""

LOW_WATER: Final = 64 * 1024
"""drain() returns with this much pending, so that the kernel has work while more is made."""

HIGH_WATER: Final = 1024 * 1024
"""Writers should await drain() before write() when more than this is pending."""

Buffer = bytes | bytearray | memoryview

logger = logging.getLogger(__name__)


class Listener(Protocol):
    """Who is called as a pipe's state changes, for those to whom a task's wake-up for each is too slow."""

    def readable(self) -> None:
        """receive_now() may give something."""

    def writable(self) -> None:
        """Nothing is pending any more."""


class Pipe:
    """One connection, over a non-blocking descriptor that somebody else watches and hands the edges of.

    Made by ports and by `dial`, not by their users.

    Args:
        name: the address, for logs.
        fd: the descriptor; used until the pipe is closed or detached, and never closed here.
        on_close: called once, by close(), so that the owner of the descriptor lets go of it.
        half_close: whether the end of input leaves the way out open: with sockets, not with devices.
        write_bytes: most offered to the kernel in one write.
        gather: whether smaller writes of one turn of the loop go out as one: a virtio port's ring has room for so many
            writes, however short they are, and each of them interrupts the host.
        early: what the other side sent before this, read already.
        mark: told of what receive() gives, and of what the kernel took; for devices.

    Attributes:
        name: the address, for logs.
        received: bytes that receive() gave so far.
        more: whether receive_now() may give more before the listener is told; else it will be.
        want_writable: told whether edges of WRITABLE are needed, for the descriptor's owner; else they always come.
    """

    def __init__(
        self,
        name: str,
        fd: int,
        on_close: Callable[[Pipe], None],
        *,
        half_close: bool = True,
        write_bytes: int = SOCKET_WRITE_BYTES,
        gather: bool = False,
        early: bytes = b"",
        mark: HostMark | None = None,
    ) -> None:
        self.name = name
        self.received = 0
        self._mark = mark
        self.more = True
        self.want_writable: Callable[[bool], None] | None = None
        self._fd = fd
        self._on_close = on_close
        self._half_close = half_close
        self._write_bytes = write_bytes
        self._gather = gather
        self._outbox = Outbox()
        self._leftovers = [early] if early else []
        self._readable = Flag()
        self._drained = Flag()
        self._gone = Flag()
        self._closed = False
        self._at_end = False
        self._is_ending = False
        self._listener: Listener | None = None
        self._steps_left = STEPS_PER_TURN
        self._flush_planned = False

    def __repr__(self) -> str:
        return f"<Pipe {self.name} {self.state}>"

    @property
    def state(self) -> str:
        """`OPEN`, `GONE` (the other side left; what it sent may still be received), or `CLOSED`."""
        if self._closed:
            return "CLOSED"
        return "GONE" if self._gone.is_set() else "OPEN"

    @property
    def outlived(self) -> bool:
        """Whether bytes for this process may reach the next one, as on a device; a socket's end with it."""
        return not self._half_close

    @property
    def gone(self) -> bool:
        """Whether the other side left altogether, or the pipe was closed here."""
        return self._gone.is_set()

    @property
    def pending(self) -> int:
        """Bytes taken by write() that the kernel did not take yet."""
        return self._outbox.size

    async def receive(self, most: int = READ_BYTES) -> bytes:
        """Give the next bytes.

        Nothing is read ahead, so not receiving slows the sender down. One task at a time may wait here.

        Args:
            most: bytes; what the owner of the descriptor read already comes as it is.

        Returns:
            Some bytes, or b"" when the other side will send no more. Replies may still reach it then.
        """
        await self._let_others_run()
        while (data := self._take(most)) is None:
            self._steps_left = STEPS_PER_TURN
            await self._readable.wait()
        self.received += len(data)
        self.heard(data)
        return data

    def heard(self, data: bytes) -> None:
        """Have the beginning of a host noticed in JSON from receive_now(); what receive() gives is looked at there."""
        if self._mark is not None:
            self._mark.received(data)

    def listen(self, listener: Listener | None) -> None:
        """Tell a listener what happens from now on, instead of a task that waits in receive(); None to end that."""
        self._listener = listener
        self.more = True
        self._readable.set()
        self._tell_readable()

    def receive_now(self, most: int = READ_BYTES) -> bytes | None:
        """Give the next bytes if there are any.

        Args:
            most: bytes; what the owner of the descriptor read already comes as it is.

        Returns:
            Some bytes, b"" when the other side will send no more, None when there are none yet.
        """
        data = self._take(most)
        if data:
            self.received += len(data)
        return data

    def write(self, data: bytes) -> None:
        """Send `data`: at once what the kernel takes, the rest as room comes. Never blocks.

        A pipe that gathers sends at the end of this turn of the loop, unless its host has joined (`HostMark`).

        Dropped silently when the other side is gone. Not bounded here: see `pending`, HIGH_WATER and drain().
        """
        if self._gone.is_set():
            return
        if self._outbox.size:
            self._outbox.add(memoryview(data))
            return
        if self._gather and 0 < len(data) < self._write_bytes and not self._must_hurry():
            self._outbox.add(memoryview(data))
            self._plan_flush()
            return
        taken = self._offer(memoryview(data))
        if taken < len(data) and not self._gone.is_set():
            self._keep(memoryview(data)[taken:])

    def write_pieces(self, pieces: Sequence[Buffer]) -> None:
        """As write() of all of them together; where a socket takes them they are not joined. Few, and not all small."""
        if len(pieces) == 1 or self._outbox.size or self._gather or self._gone.is_set():
            self.write(b"".join(pieces))
            return
        try:
            taken = os.writev(self._fd, pieces)
            self._answered()
        except BlockingIOError:
            taken = 0
        except OSError as error:
            self._broke(error)
            return
        for piece in pieces:
            size = len(piece)
            if taken < size:
                self._keep(memoryview(piece)[taken:])
            taken = max(0, taken - size)

    def set_room(self, size: int) -> None:
        """Have a socket's buffer take more or less; a device's is what it is.

        Args:
            size: bytes, as SO_SNDBUF has it (socket(7)).
        """
        try:
            connection = socket.socket(fileno=self._fd)
        except OSError:
            return
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
        finally:
            connection.detach()

    async def drain(self) -> None:
        """Wait until no more than LOW_WATER bytes are pending.

        Raises:
            PipeClosed: the other side is gone, or the pipe was closed here.
        """
        await self._let_others_run()
        await self._wait_pending(LOW_WATER)

    async def flush(self) -> None:
        """Wait until the kernel took everything.

        Raises:
            PipeClosed: the other side is gone, or the pipe was closed here.
        """
        await self._wait_pending(0)

    async def finish(self, timeout: float) -> None:
        """Send what is pending, then close.

        Args:
            timeout: seconds; a peer that does not read by then loses the rest.
        """
        try:
            async with asyncio.timeout(timeout):
                await self.flush()
        except PipeClosed:
            logger.debug("%s: the other side left first", self.name)
        except TimeoutError:
            logger.debug("%s: closed with %d bytes unsent", self.name, self.pending)
        finally:
            self.close()

    async def wait_closed(self) -> None:
        """Wait until the other side is gone altogether, or the pipe is closed here.

        A peer that only shut its sending side (`socat - UNIX:...` at the end of its input) is not gone.
        """
        await self._gone.wait()

    def close(self) -> None:
        """End the pipe; what the kernel does not take now is dropped, unread bytes as well."""
        if self._closed:
            return
        if self._flush_planned:
            self._flush_some()
        self._closed = True
        self._leftovers.clear()
        self._end_reading()
        self._on_close(self)  # first, so that the owner sees by `gone` whether the other side had left
        self.lose()

    def edge(self, events: int) -> None:
        """Take a change of the descriptor's readiness. For the descriptor's owner."""
        if events & (READABLE | GONE):
            self._is_ending = self._is_ending or bool(events & ENDING)
            self._readable.set()
        if events & GONE:
            self.lose()
            return
        if events & WRITABLE:
            self._flush_some()
        if events & READABLE and self._listener is not None:
            self._listener.readable()

    def lose(self) -> None:
        """The other side is gone: nothing can be sent any more. What it sent before may still be received."""
        self._outbox = Outbox()  # not emptied: a write under way has the old one exported
        self._gone.set()
        self._drained.set()
        self._readable.set()
        self._tell_readable()

    def detach(self, leftovers: Iterable[bytes]) -> None:
        """The other side left a descriptor that lives on, which is not touched again.

        Args:
            leftovers: what the other side sent before it left; receive() still gives it.
        """
        self._leftovers.extend(leftovers)
        self._end_reading()
        self.lose()

    def _tell_readable(self) -> None:
        # Not at once: whoever found out is in the middle of something.
        if self._listener is not None:
            asyncio.get_running_loop().call_soon(self._listener.readable)

    def _must_hurry(self) -> bool:
        """Whether any moment the pipe may end with the host before the one that is there."""
        return self._mark is not None and self._mark.has_joined

    def _answered(self) -> None:
        if self._mark is not None:
            self._mark.unanswered = b""

    def _take(self, most: int) -> bytes | None:
        """The next bytes, b"" at the end, None when there are none yet."""
        self.more = True
        if self._leftovers:
            return self._leftovers.pop(0)
        data = self._read(most)
        if data or (data is None and not self._gone.is_set()):
            return data
        self._end_reading()
        if not self._half_close:
            self.lose()
        return b""

    def _read(self, most: int) -> bytes | None:
        if self._at_end:
            return b""
        self._readable.clear()
        try:
            data = os.read(self._fd, most)
        except BlockingIOError:
            self.more = False
            return None
        except OSError as error:
            self._broke(error)
            return b""
        # What a socket has it gives at once; a device gives a page at a time.
        self.more = len(data) == most or not self._half_close or self._is_ending
        return data

    def _end_reading(self) -> None:
        self._at_end = True
        self._readable.set()

    async def _let_others_run(self) -> None:
        if not self._steps_left:
            self._steps_left = STEPS_PER_TURN
            await asyncio.sleep(0)
        self._steps_left -= 1

    def _keep(self, data: memoryview) -> None:
        """Keep what the kernel did not take until it has room."""
        if not self._outbox.size and self.want_writable:
            self.want_writable(True)
        self._outbox.add(data)

    def _offer(self, data: memoryview) -> int:
        """Write until the kernel takes no more, or a turn's share is done; returns what it took."""
        taken = 0
        share = data[:FLUSH_BYTES_PER_TURN]
        try:
            while taken < len(share):
                taken += os.write(self._fd, share[taken : taken + self._write_bytes])
                self._answered()
        except BlockingIOError:
            return taken
        except OSError as error:
            self._broke(error)
            return taken
        if taken < len(data):
            self._plan_flush()
        return taken

    def _plan_flush(self) -> None:
        # No edge will come, as the kernel still takes bytes.
        if not self._flush_planned:
            self._flush_planned = True
            asyncio.get_running_loop().call_soon(self._flush_planned_now)

    def _flush_planned_now(self) -> None:
        self._flush_planned = False
        self._flush_some()

    def _flush_some(self) -> None:
        if not self._outbox.size:
            return
        outbox = self._outbox
        with outbox.first() as piece:
            taken, whole = self._offer(piece), len(piece)
        outbox.drop(taken)
        if taken == whole and self._outbox.size:
            self._plan_flush()
        self._drained.set()
        if self._outbox.size:
            return
        if self.want_writable:
            self.want_writable(False)
        if self._listener is not None:
            self._listener.writable()

    async def _wait_pending(self, most: int) -> None:
        while not self._gone.is_set():
            if self._outbox.size <= most:
                return
            self._drained.clear()
            await self._drained.wait()
        raise PipeClosed(f"{self.name}: the other side is gone")

    def _broke(self, error: OSError) -> None:
        logger.debug("%s: %s", self.name, error.strerror)
        self.lose()
