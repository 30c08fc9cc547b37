"""Joins a byte pipe and a mux connection: hands on what comes, sends what is queued as the pipe takes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from guestmux_protocol.mux import RESET, Frame, Multiplexer, MuxError, Reset
from guestmux_transport.pipe import Pipe
from guestmux_transport.pipe_errors import PipeClosed

WRITE_BYTES: Final = 64 * 1024
"""Taken from the queues at a time: what is urgent waits behind no more than one DATA and the kernel's buffer."""

READ_BYTES: Final = 256 * 1024
"""Most read at a time: what a socket's buffer holds, so that bulk costs few turns of the loop."""

BULK_BYTES: Final = 32 * 1024
"""A read of so much is followed by a turn for others: what came has to be sent on before more is taken."""

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
        self._planned = False
        self._blocked = asyncio.Event()
        self._sent = asyncio.Event()
        self._ended = False

    def __repr__(self) -> str:
        return f"<MuxDriver {self.pipe.name} {self.mux!r}>"

    async def run(self) -> MuxEnd:
        """Receive and send until the connection is over. The pipe is left open, the queues as they are."""
        sending = asyncio.ensure_future(self._send_when_blocked())
        try:
            self.wake()
            return await self._receive_all()
        finally:
            self._ended = True
            sending.cancel()
            self._sent.set()

    def wake(self) -> None:
        """Have what is queued sent: soon, and together with what is queued until then."""
        if not self._planned and not self._ended:
            self._planned = True
            asyncio.get_running_loop().call_soon(self._send)

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

    async def _receive_all(self) -> MuxEnd:
        early, self._early = self._early, b""
        if early and (end := self._take(early)):
            return end
        while data := await self.pipe.receive(READ_BYTES):
            if end := self._take(data):
                return end
            if len(data) >= BULK_BYTES:
                await asyncio.sleep(0)
            while self.mux.role == "server" and self.mux.congested and not self.pipe.gone:
                await self.sent()
        return MuxEnd("the other side left")

    def _take(self, data: bytes) -> MuxEnd | None:
        """Hand on what is in `data`; how it ended, if it did."""
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
            return MuxEnd(f"the other side broke the protocol: {broken.desc}", b"", violation=True)
        if frames and isinstance(last := frames[-1], Reset):
            return MuxEnd("the other side gave up the mux dialect", last.rest)
        if not self._planned:
            self._send()
        return None

    def _send(self) -> None:
        self._planned = False
        if self._ended or self.pipe.pending:
            return
        pipe, mux = self.pipe, self.mux
        for _ in range(WRITES_PER_TURN):
            data = mux.bytes_to_send(WRITE_BYTES)
            if not data:
                break
            pipe.write(data)
            if pipe.pending:
                self._blocked.set()
                break
        else:
            self.wake()
        self._sent.set()

    async def _send_when_blocked(self) -> None:
        try:
            while True:
                await self._blocked.wait()
                await self.pipe.flush()
                self._blocked.clear()
                self._send()
        except PipeClosed:
            self._sent.set()  # receiving sees the end as well
