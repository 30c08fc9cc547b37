"""What comes in on a mux connection: which frames this end takes, and what each does to its tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

from guestmux_protocol.mux.asked import Asked
from guestmux_protocol.mux.errors import MuxError
from guestmux_protocol.mux.fair_writer import FairWriter
from guestmux_protocol.mux.frame_reader import FrameReader
from guestmux_protocol.mux.frames import (
    Ack,
    Cancel,
    Close,
    Credit,
    Data,
    Error,
    Event,
    Failure,
    Frame,
    Hello,
    Nak,
    Open,
    Party,
    Reply,
    Request,
    Reset,
)
from guestmux_protocol.mux.limits import MuxLimits
from guestmux_protocol.mux.mask import check_mask, inverse
from guestmux_protocol.mux.streams import Streams

Role: TypeAlias = Literal["asker", "server"]

CANCELLED: Final = "the stream was cancelled before it was answered"


class Inbound:
    """The way in of one connection.

    Args:
        role: which frames are for this end.
        limits: what this end announces.
        party: named as the one who failed where a stream is broken here.
        asked: what is unanswered.
        streams: what is open.
        writer: told what the peer takes.
        mask: what the peer is to put on the content of its DATA; empty for none.

    Attributes:
        peer: the peer's HELLO, None until it came.
        peer_mask: what the peer wants on the content of our DATA; empty for nothing.
        max_requests: most that may be unanswered; the smaller of both ends' numbers.
        max_streams: most that may be open; the smaller of both ends' numbers.
    """

    def __init__(
        self,
        role: Role,
        limits: MuxLimits,
        party: Party,
        asked: Asked,
        streams: Streams,
        writer: FairWriter,
        mask: bytes,
    ) -> None:
        self.peer: Hello | None = None
        self.peer_mask = b""
        self.max_requests = limits.max_requests
        self.max_streams = limits.max_streams
        self._role = role
        self._limits = limits
        self._cancelled = Failure("GenericError", CANCELLED, party)
        self._reader = FrameReader(limits)
        self._asked = asked
        self._streams = streams
        self._writer = writer
        self._unmasked = inverse(mask) if mask else b""
        self._handlers: dict[type[Any], Callable[[Any], Frame | None]] = {Hello: self._greeted, Reset: _pass}

    def receive(self, data: bytes) -> list[Frame]:
        """See Multiplexer.receive."""
        passed: list[Frame] = []
        try:
            frames, broken = self._reader.feed(data), None
        except MuxError as error:
            frames, broken = error.frames, error
        try:
            for frame in frames:
                handler = self._handlers.get(frame.__class__, self._unexpected)
                if (taken := handler(frame)) is not None:
                    passed.append(taken)
        except MuxError as error:
            broken = error
        if broken:
            broken.frames = passed
            raise broken
        return passed

    @property
    def partial(self) -> int:
        """Bytes that came of a frame whose end has not."""
        return self._reader.partial

    def _unexpected(self, frame: Frame) -> Frame:
        place = "an end that waits for HELLO" if self.peer is None else f"the {self._role}"
        raise MuxError(f"{type(frame).__name__.upper()} is not for {place}")

    def _greeted(self, hello: Hello) -> Frame:
        check_mask(hello.mask)
        self.peer = hello
        self.peer_mask = hello.mask
        self._writer.max_frame = hello.max_frame
        self._writer.window = min(self._limits.window, hello.window)
        self.max_requests = min(self._limits.max_requests, hello.max_requests)
        self.max_streams = min(self._limits.max_streams, hello.max_streams)
        self._handlers = {
            Data: self._masked_data if self._unmasked else self._streams.data,
            Credit: self._credited,
            Close: self._closed,
            Reset: _pass,
        }
        if self._role == "asker":
            self._handlers |= {Reply: self._replied, Error: self._refused, Event: _pass}
        else:
            self._handlers |= {
                Request: self._requested,
                Open: self._opened,
                Cancel: self._cancel_came,
                Ack: _pass,
                Nak: _pass,
            }
        return hello

    def _masked_data(self, data: Data) -> Frame | None:
        return self._streams.data(Data(data.stream, data.data.translate(self._unmasked)))

    def _replied(self, reply: Reply) -> Frame:
        self._answer_came(reply.id)
        if reply.id in self._streams and not self._streams.accepted(reply.id, self._cancelled):
            return Error(reply.id, self._cancelled.error_class, self._cancelled.desc)
        return reply

    def _refused(self, error: Error) -> Frame:
        self._answer_came(error.id)
        if error.id in self._streams:
            self._streams.refused(error.id)
        return error

    def _answer_came(self, number: int) -> None:
        if number not in self._asked.sizes:
            raise MuxError(f"an answer to {number}, which is not unanswered")
        self._asked.answered(number)

    def _requested(self, request: Request) -> Frame:
        if len(self._asked.requests) >= self.max_requests:
            raise MuxError(f"more than {self.max_requests} requests unanswered")
        self._ask_came(request.id, request, request=True)
        return request

    def _opened(self, opened: Open) -> Frame:
        if len(self._streams) >= self.max_streams:
            raise MuxError(f"more than {self.max_streams} streams")
        self._ask_came(opened.stream, opened, request=False)
        self._streams.asked(opened.stream)
        return opened

    def _ask_came(self, number: int, asking: Request | Open, *, request: bool) -> None:
        if number <= self._asked.last:
            raise MuxError(f"id {number} after {self._asked.last}: ids ascend")
        size = len(asking.arguments) + len(asking.context)
        if self._asked.size + size > self._limits.value_bytes:
            raise MuxError("the arguments of what is unanswered are over the size limit")
        self._asked.add(number, size, request=request)

    def _cancel_came(self, cancel: Cancel) -> Frame | None:
        if cancel.id > self._asked.last:
            raise MuxError(f"CANCEL of {cancel.id}, which was not asked")
        return cancel if cancel.id in self._asked.sizes else None

    def _credited(self, credit: Credit) -> Frame | None:
        self._check_opened(credit)
        return self._streams.credit(credit)

    def _closed(self, close: Close) -> Frame | None:
        self._check_opened(close)
        return self._streams.closed(close)

    def _check_opened(self, frame: Credit | Close) -> None:
        """What is for a stream that is over may have crossed its end; for one that never was it cannot."""
        if frame.stream > self._asked.last:
            raise MuxError(f"{type(frame).__name__.upper()} for stream {frame.stream}, which was not opened")


def _pass(frame: Frame) -> Frame:
    return frame
