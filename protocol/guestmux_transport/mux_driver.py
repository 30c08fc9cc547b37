"""Joins a byte pipe and a mux connection: hands on what comes, sends what is queued as the pipe takes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from guestmux_protocol.mux import RESET, Frame, Multiplexer, MuxError, Reset
from guestmux_transport.edge import edge_poller
from guestmux_transport.faults import FaultsGoTo
from guestmux_transport.flag import Flag
from guestmux_transport.pipe import Pipe
from guestmux_transport.pipe_errors import PipeClosed

WRITE_BYTES: Final = 64 * 1024
"""Taken from the queues at a time: what is urgent waits behind no more than one DATA and the kernel's buffer."""

READ_BYTES: Final = 256 * 1024
"""Most read at a time: much of what a socket's buffer holds, so that bulk costs few turns of the loop."""

BULK_ROOM: Final = 208 * 1024
"""A socket's buffer while there is nothing but bulk: what every user may ask for (net.core.wmem_max), which the kernel
doubles. The more fits in, the fewer turns of the loops and wake-ups there are."""

TALKING_ROOM: Final = 64 * 1024
"""The same while there are calls or events as well, which wait behind what is in there."""

QUIET: Final = 0.25
"""Seconds without a call or an event until bulk is alone again."""

WRITES_PER_TURN: Final = 16
"""Writes of one turn of the loop, should the kernel take everything; then what came meanwhile has its turn."""

OnFrames = Callable[[list[Frame]], None]


@dataclass(frozen=True, slots=True)
class MuxEnd:
    """How a mux connection ended.

    Attributes:
        reason: in words.
        reset_rest: what came behind the byte 0xFF, or b"" when the peer broke a rule: the pipe lives on, and speaks
            something else from here. None when the pipe ended.
        violation: whether the peer broke a rule.
    """

    reason: str
    reset_rest: bytes | None = None
    violation: bool = False


class MuxDriver:
    """Runs a Multiplexer on a Pipe.

    Args:
        pipe: the connection; closed by nobody here.
        mux: its state. Who queues something there calls wake().
        on_frames: takes what came, in order. A MuxError that it raises ends the connection, as the peer's fault.
        early: bytes of the peer that were received already.
    """

    def __init__(self, pipe: Pipe, mux: Multiplexer, on_frames: OnFrames, *, early: bytes = b"") -> None:
        self.pipe = pipe
        self.mux = mux
        self._on_frames = on_frames
        self._early = early
        self._loop = asyncio.get_running_loop()
        self._poller = edge_poller()
        self._over: asyncio.Future[MuxEnd] = self._loop.create_future()
        self._faults = FaultsGoTo(self._over)
        self._sent = Flag()
        self._is_planned = False
        self._is_held = False
        self._ended = False
        self._room = 0
        self._said = 0
        self._said_at = 0.0

    def __repr__(self) -> str:
        return f"<MuxDriver {self.pipe.name} {self.mux!r}>"

    async def run(self) -> MuxEnd:
        """Receive and send until the connection is over. The pipe is left open, the queues as they are."""
        try:
            early, self._early = self._early, b""
            if early:
                self._hand_on(early)
            if not self._over.done():
                self.pipe.listen(self)
                self.wake()
            return await self._over
        finally:
            self.pipe.listen(None)
            self._over.cancel()
            self._ended = True
            self._sent.set()

    def wake(self) -> None:
        """Have what is queued sent: soon, and together with what is queued until then."""
        if not self._is_planned and not self._ended:
            self._is_planned = True
            self._poller.soon(self._send)

    def send_now(self) -> None:
        """As wake(), but a turn of the loop earlier: for what nothing else is going to be queued with."""
        if not self._is_planned:
            self._send()

    def readable(self) -> None:
        """The pipe may be read; for the pipe."""
        with self._faults:
            self._receive_some()

    def writable(self) -> None:
        """The pipe takes more; for the pipe."""
        self.wake()

    def reset(self) -> None:
        """Tell the peer that no frame follows, and send none any more; the peer's bytes are still received."""
        if not self._ended:
            self._ended = True
            self.pipe.write(RESET)

    async def sent(self) -> bool:
        """Wait until some of what is queued went out; False: nothing does any more."""
        self._sent.clear()
        if not self._ended:
            await self._sent.wait()
        return not self._ended

    async def flush(self) -> None:
        """Wait until the kernel took everything that is queued, or will take nothing more."""
        while self.mux.pending and not self._ended and not self.pipe.gone:
            self.wake()
            await self.sent()
        try:
            await self.pipe.flush()
        except PipeClosed:
            return

    def _receive_some(self) -> None:
        """Hand on what there is, and go on in the next turn if that was much."""
        budget = READ_BYTES
        while not self._over.done() and not self._must_hold():
            if budget <= 0:
                self._loop.call_soon(self.readable)
                return
            if (data := self.pipe.receive_now(READ_BYTES)) is None:
                return
            if not data:
                self._finish(MuxEnd("the other side left"))
                return
            budget -= len(data)
            self._hand_on(data)
            if not self.pipe.more:
                return

    def _fit_room(self) -> None:
        """Have the kernel's buffer, which is full, be of the size that suits what is going on."""
        now = self._loop.time()
        if self.mux.said != self._said:
            self._said, self._said_at = self.mux.said, now
        room = TALKING_ROOM if now - self._said_at < QUIET else BULK_ROOM
        if room != self._room:
            self._room = room
            self.pipe.set_room(room)

    def _must_hold(self) -> bool:
        """Whether a peer that reads no answers has to wait with its questions; _send() goes on."""
        mux = self.mux
        self._is_held = mux.role == "server" and mux.congested and not self.pipe.gone
        return self._is_held

    def _hand_on(self, data: bytes) -> None:
        """Hand on the frames that end in `data`, and have the answers sent."""
        try:
            frames, broken = self.mux.receive(data), None
        except MuxError as error:
            frames, broken = error.frames, error
        try:
            if frames:
                self._on_frames(frames)
        except MuxError as error:
            broken = broken or error
        if broken:
            reason = f"the other side broke the protocol: {broken.desc}"
            self._finish(MuxEnd(reason, b"", violation=True))
        elif frames and isinstance(last := frames[-1], Reset):
            self._finish(MuxEnd("the other side gave up the mux dialect", last.rest))
        elif self.mux.pending:
            self.wake()

    def _finish(self, end: MuxEnd) -> None:
        # At once: what is received from here on is no frame.
        self.pipe.listen(None)
        if not self._over.done():
            self._over.set_result(end)

    def _send(self) -> None:
        self._is_planned = False
        if self._ended or self.pipe.pending:
            return  # writable() will be called
        pipe, mux = self.pipe, self.mux
        for _ in range(WRITES_PER_TURN):
            pieces = mux.pieces_to_send(WRITE_BYTES)
            if not pieces:
                break
            pipe.write_pieces(pieces)
            if pipe.pending:
                self._fit_room()
                break
        else:
            self._is_planned = True
            self._loop.call_soon(self._send)
        self._sent.set()
        if self._is_held and not mux.congested:
            self._is_held = False
            self._loop.call_soon(self.readable)
