"""The mux side of the stand-in for eventd: requests as messages, and streams that a test plays the agent of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guestmux_protocol.json_text import decode, encode
from guestmux_protocol.messages import Event, Request
from guestmux_protocol.mux import (
    Ack,
    Cancel,
    Close,
    Credit,
    Data,
    Failure,
    Multiplexer,
    Open,
    Reset,
)
from guestmux_protocol.mux import Request as RequestFrame


class StandInStream:
    """One stream, from the agent's end.

    Args:
        mux: the connection.
        opened: what the host sent.
        flush: sends what is queued.

    Attributes:
        request: the command and its arguments.
        received: bytes from the host so far.
        closed: the host's CLOSE.
        number: its id.
    """

    def __init__(self, mux: Multiplexer, opened: Open, flush: Callable[[], None]) -> None:
        self.request = Request(opened.command, decode(opened.arguments), opened.stream)
        self.received = bytearray()
        self.closed: Close | None = None
        self._mux = mux
        self.number = opened.stream
        self._flush = flush

    @property
    def room(self) -> int:
        """Bytes that the host takes now."""
        return self._mux.sendable(self.number)

    def accept(self, value: Any = None, credit: int = 1 << 20) -> None:
        self._mux.reply(self.number, encode({} if value is None else value), credit=credit)
        self._flush()

    def send(self, data: bytes) -> None:
        self._mux.send(self.number, data)
        self._flush()

    def grant(self, count: int) -> None:
        self._mux.grant(self.number, count)
        self._flush()

    def close(self, value: Any = None) -> None:
        self._mux.close(self.number, None, None if value is None else encode(value))
        self._flush()

    def fail(self, desc: str, error_class: str = "GenericError") -> None:
        self._mux.close(self.number, Failure(error_class, desc, "agent"))
        self._flush()


class StandInMux:
    """One connection in mux.

    Args:
        write: takes bytes for the host.
        answer: takes a request.
        open: takes a stream, to accept or to refuse.

    Attributes:
        cancelled: ids that the host does not want the answer of any more.
        acknowledged: the latest event that the host acknowledged.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        answer: Callable[[Request], None],
        open_stream: Callable[[StandInStream], None],
    ) -> None:
        self.mux = Multiplexer("server", party="eventd")
        self.cancelled: list[int] = []
        self.acknowledged = 0
        self.streams: dict[int, StandInStream] = {}
        self._write = write
        self._answer = answer
        self._open = open_stream
        self.flush()

    def flush(self) -> None:
        while data := self.mux.bytes_to_send(1 << 16):
            self._write(data)

    def receive(self, data: bytes) -> bytes | None:
        """Take frames; what follows the host's 0xFF, None where it sent none."""
        frames = self.mux.receive(data)
        for frame in frames:
            self._take(frame)
        self.flush()
        return frames[-1].rest if frames and isinstance(frames[-1], Reset) else None

    def _take(self, frame: Any) -> None:
        if isinstance(frame, RequestFrame):
            self._answer(Request(frame.command, decode(frame.arguments), frame.id, oob=True))
        elif isinstance(frame, Open):
            stream = self.streams[frame.stream] = StandInStream(self.mux, frame, self.flush)
            self._open(stream)
        elif isinstance(frame, Data):
            self.streams[frame.stream].received += frame.data
        elif isinstance(frame, Close):
            self.streams[frame.stream].closed = frame
        elif isinstance(frame, Cancel):
            self.cancelled.append(frame.id)
        elif isinstance(frame, Ack):
            self.acknowledged = frame.seq
        else:
            assert isinstance(frame, Credit | Reset) or type(frame).__name__ == "Hello"

    def reply(self, number: Any, value: Any) -> None:
        self.mux.reply(number, encode(value))
        self.flush()

    def error(self, number: Any, error_class: str, desc: str) -> None:
        self.mux.error(number, error_class, desc)
        self.flush()

    def event(self, event: Event) -> None:
        seq = event.data.get("seq", 0)
        time = event.seconds * 1_000_000 + event.microseconds
        self.mux.event(seq, event.name, encode(event.data), time)
        self.flush()
