"""The unix socket to the bus: whole messages in, whole messages out, with their file descriptors.

Both libraries end the connection when the socket's buffer is full, and read for as long as there is something
to read. Here what the kernel does not take waits in a bounded queue, and one wake-up of the loop handles a
bounded number of messages.
"""

import array
import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from guestmux_transport.bus_framing import Frame, Framer, count_fds
from guestmux_transport.errors import BusLost, MalformedMessage, QueueFull

logger = logging.getLogger(__name__)

# What one read asks for: a socket buffer is about 200 KiB, and most messages are a few hundred bytes.
READ_BYTES = 64 * 1024
# For the rest of a large message: fewer, larger reads.
LARGE_READ_BYTES = 1024 * 1024
# SCM_MAX_FD in Linux: no sendmsg carries more, so no recvmsg truncates with this much room.
MAX_FDS = 253
_FD_ROOM = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)
# Descriptors received and not yet claimed by a message; a bus that sends more than this is broken.
MAX_UNCLAIMED_FDS = 4 * MAX_FDS

FrameHandler = Callable[[Frame, list[int]], None]


class BusSocket:
    """Owns one connected, authenticated socket from `start` to `close`."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        message_bytes: int,
        queued_bytes: int,
        messages_per_wakeup: int,
        on_frame: FrameHandler,
        on_lost: Callable[[str], None],
    ) -> None:
        """Take over a socket; the loop that runs now is the one it will use.

        Args:
            sock: non-blocking, after the handshake.
            message_bytes: the largest message to receive whole.
            queued_bytes: what may wait for the kernel before `send` raises QueueFull.
            messages_per_wakeup: how many messages are handled before others get the loop.
            on_frame: called with each message and the descriptors that came with it, which it owns.
            on_lost: called once, with a reason, when the connection is gone; not by `close`.
        """
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._framer = Framer(message_bytes)
        self._queued_limit = queued_bytes
        self._messages_per_wakeup = messages_per_wakeup
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._queue: deque[tuple[memoryview, list[int]]] = deque()
        self._fds: list[int] = []
        self._resume: asyncio.Handle | None = None
        self.queued = 0
        self.closed = False

    def start(self, already_read: bytes = b"") -> None:
        """Begin to read."""
        self._framer.feed(already_read)
        self._loop.add_reader(self._sock, self._readable)
        self._resume = self._loop.call_soon(self._handle_frames)

    def send(self, data: bytes | bytearray, fds: Sequence[int] = ()) -> None:
        """Send one message: at once when nothing waits, else after what waits.

        Args:
            data: the whole message.
            fds: descriptors to go with it; duplicated when they have to wait, so the caller keeps its own.

        Raises:
            BusLost: the connection is gone.
            QueueFull: more is waiting than the limit; nothing was sent.
        """
        if self.closed:
            raise BusLost("the connection to the bus is closed")
        if self._queue:
            self._enqueue(memoryview(data), fds)
            return
        sent = self._try_send(data, fds)
        if sent < len(data) and not self.closed:
            self._enqueue(memoryview(data)[sent:], () if sent else fds)
            self._loop.add_writer(self._sock, self._writable)

    def close(self) -> None:
        """Close; what waits is dropped."""
        if self.closed:
            return
        self.closed = True
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        close_fds(self._fds)
        for _, fds in self._queue:
            close_fds(fds)
        self._queue.clear()
        self.queued = 0

    def _lose(self, reason: str) -> None:
        if not self.closed:
            self.close()
            self._on_lost(reason)

    def _enqueue(self, data: memoryview, fds: Sequence[int]) -> None:
        # A message under way has to be finished, whatever its size: an empty queue takes one.
        if self._queue and self.queued + len(data) > self._queued_limit:
            raise QueueFull(f"the bus takes no more: {self.queued} bytes are waiting for it")
        self._queue.append((data, _duplicate(fds)))
        self.queued += len(data)

    def _try_send(self, data: bytes | bytearray | memoryview, fds: Sequence[int]) -> int:
        try:
            if fds:
                return socket.send_fds(self._sock, [data], list(fds))
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._lose_soon(os.strerror(error.errno or 0))
            return 0

    def _lose_soon(self, reason: str) -> None:
        # Not from inside `send`: its caller is not ready for the callbacks of a lost connection.
        self._loop.call_soon(self._lose, reason)

    def _writable(self) -> None:
        while self._queue:
            data, fds = self._queue[0]
            sent = self._try_send(data, fds)
            if not sent:
                return
            self.queued -= sent
            close_fds(fds)
            if sent < len(data):
                self._queue[0] = (data[sent:], [])
                return
            self._queue.popleft()
        self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        size = min(max(READ_BYTES, self._framer.missing), LARGE_READ_BYTES)
        try:
            data, ancillary, _flags, _ = self._sock.recvmsg(size, _FD_ROOM, socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(os.strerror(error.errno or 0))
            return
        if ancillary:
            self._keep_fds(ancillary)
        if not data:
            self._lose("the bus closed the connection")
            return
        self._framer.feed(data)
        self._handle_frames()

    def _keep_fds(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received = array.array("i")
                received.frombytes(data[: len(data) - len(data) % received.itemsize])
                self._fds.extend(received)
        if len(self._fds) > MAX_UNCLAIMED_FDS:
            self._lose("the bus sent more file descriptors than its messages have")

    def _handle_frames(self) -> None:
        """Hand on the complete messages; of too many, the rest in the loop's next round."""
        try:
            for _ in range(self._messages_per_wakeup):
                if self.closed:
                    return
                frame = self._framer.next_frame()
                if frame is None:
                    self._read_on()
                    return
                self._on_frame(frame, self._claim_fds(frame))
        except MalformedMessage as error:
            logger.error("the connection to the bus is given up: %s", error)
            self._lose(str(error))
            return
        self._pause()

    def _claim_fds(self, frame: Frame) -> list[int]:
        if not self._fds:
            return []
        count = count_fds(frame.data)
        claimed, self._fds = self._fds[:count], self._fds[count:]
        return claimed

    def _pause(self) -> None:
        if self.closed:
            return
        if self._resume is None:
            self._loop.remove_reader(self._sock)
        self._resume = self._loop.call_soon(self._handle_frames)

    def _read_on(self) -> None:
        if self._resume is not None and not self.closed:
            self._loop.add_reader(self._sock, self._readable)
        self._resume = None


def _duplicate(fds: Sequence[int]) -> list[int]:
    copies: list[int] = []
    try:
        for fd in fds:
            copies.append(os.dup(fd))  # noqa: PERF401 - what was made has to be closed when the next fails
    except OSError as error:
        close_fds(copies)
        raise QueueFull(f"a descriptor cannot wait for the bus: {os.strerror(error.errno or 0)}") from error
    return copies


def close_fds(fds: list[int]) -> None:
    """Close descriptors and forget them."""
    while fds:
        with suppress(OSError):
            os.close(fds.pop())
