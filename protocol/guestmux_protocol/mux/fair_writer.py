"""Decides what is sent next: control, credit, answers to events, events, then streams in fair turns.

A turn is one DATA frame. Groups (host sessions, say) take turns, and within a group its streams: who opens a hundred
streams gets no more than who opens one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

from guestmux_protocol.mux.bulk import BULK, encode_head
from guestmux_protocol.mux.frames import Ack, Credit, Nak, encode, encode_data
from guestmux_protocol.mux.stream import Stream

FRAME_COST: Final = 64
"""Bytes of memory that a queued frame costs beside its own; a queue of small ones is counted as what it takes."""


Piece: TypeAlias = bytes | bytearray | memoryview


class FairWriter:
    """The queues of one connection's way out.

    Args:
        on_end: called when a stream's clean CLOSE goes out.

    Attributes:
        max_frame: bytes of one DATA that the peer takes.
        window: most credit that may stand open per stream.
        control_bytes: memory that control frames in the queue take.
        event_bytes: memory that events in the queue take.
    """

    def __init__(self, on_end: Callable[[Stream], None], *, max_frame: int, window: int) -> None:
        self.max_frame = max_frame
        self.window = window
        self.control_bytes = 0
        self.event_bytes = 0
        self._on_end = on_end
        self._stream_bytes = 0
        # An empty deque takes 760 bytes, and most connections are idle: those that are long are made when needed.
        self._control: deque[bytes] | tuple[()] = ()
        self._credits: list[Stream] = []
        self._answers: list[Ack | Nak] = []
        self._events: deque[bytes] | tuple[()] = ()
        self._groups: list[deque[Stream]] = []
        self._group_of: dict[str, deque[Stream]] = {}

    @property
    def pending(self) -> int:
        """Memory that the queues take; 0 only when there is nothing to be sent."""
        small = FRAME_COST * (len(self._credits) + len(self._answers) + len(self._groups))
        return self.control_bytes + self.event_bytes + self._stream_bytes + small

    @property
    def answers(self) -> int:
        """ACKs and NAKs queued."""
        return len(self._answers)

    def control(self, frame: bytes) -> None:
        """Queue what goes before everything else, in order."""
        if self._control:
            self._control.append(frame)
        else:
            self._control = deque((frame,))
        self.control_bytes += len(frame) + FRAME_COST

    def event(self, frame: bytes) -> None:
        """Queue an event, in order."""
        if self._events:
            self._events.append(frame)
        else:
            self._events = deque((frame,))
        self.event_bytes += len(frame) + FRAME_COST

    def answer(self, answer: Ack | Nak) -> None:
        """Queue the answer to an event, in order; an ACK that says the same as the last and more takes its place."""
        last = self._answers[-1] if self._answers else None
        if isinstance(last, Ack) and isinstance(answer, Ack) and _same_run(last, answer):
            self._answers[-1] = answer
        else:
            self._answers.append(answer)

    def credit(self, stream: Stream) -> None:
        """Queue a CREDIT for what is due, if the window has room; one frame, however often it was raised."""
        if stream.due and stream.granted < self.window and not stream.credit_queued:
            stream.credit_queued = True
            self._credits.append(stream)

    def data(self, stream: Stream, data: bytes | memoryview) -> None:
        """Queue bytes of a stream."""
        self._stream_bytes += len(data)
        stream.queue.add(data)
        self.turn(stream)

    def turn(self, stream: Stream) -> None:
        """Give a stream its place in the round."""
        if stream.in_turn:
            return
        stream.in_turn = True
        group = self._group_of.get(stream.group)
        if group is None:
            group = self._group_of[stream.group] = deque()
            self._groups.append(group)
        group.append(stream)

    def drop(self, stream: Stream) -> None:
        """Forget what a stream had to send, and its places in the queues."""
        self._stream_bytes -= stream.queue.size
        stream.drop()
        if stream.credit_queued:
            self._credits.remove(stream)
            stream.credit_queued = False
        if stream.in_turn:
            self._leave_round(stream)

    def take(self, most: int) -> list[Piece]:
        """The next bytes, about `most`: the frame that reaches it is still whole. Large contents stand apart."""
        pieces: list[Piece] = []
        small: list[bytes] = []
        size = 0
        while size < most:
            if self._control or self._credits or self._answers or self._events:
                frame = self._next_urgent()
                small.append(frame)
                size += len(frame)
            elif self._groups:
                size += self._next_turn(pieces, small)
            else:
                break
        if small:
            pieces.append(b"".join(small))
        return pieces

    def _next_urgent(self) -> bytes:
        if self._control:
            frame = self._control.popleft()
            self.control_bytes -= len(frame) + FRAME_COST
            return frame
        if self._credits:
            return self._next_credit()
        if self._answers:
            return encode(self._answers.pop(0))
        assert self._events
        frame = self._events.popleft()
        self.event_bytes -= len(frame) + FRAME_COST
        return frame

    def _next_credit(self) -> bytes:
        stream = self._credits.pop(0)
        stream.credit_queued = False
        count = min(stream.due, self.window - stream.granted)
        stream.due -= count
        stream.granted += count
        return encode(Credit(stream.number, count))

    def _next_turn(self, pieces: list[Piece], small: list[bytes]) -> int:
        """One DATA, and the CLOSE behind the last; gives the size of its content."""
        group = self._groups[0]
        stream = group[0]
        queue = stream.queue
        size = self._put_data(stream, pieces, small) if queue.size else 0
        stream.in_turn = more = bool(queue.size)
        if not more or len(group) > 1 or len(self._groups) > 1:
            self._rotate(group, stream)
        if stream.ending and not more:
            small.append(stream.ending)
            stream.ending = b""
            self._on_end(stream)
        return size

    def _put_data(self, stream: Stream, pieces: list[Piece], small: list[bytes]) -> int:
        data = stream.queue.take(self.max_frame)
        size = len(data)
        self._stream_bytes -= size
        if size < BULK:
            small.append(encode_data(stream.number, data))
            return size
        small.append(encode_head(stream.number, size))
        pieces.append(b"".join(small))
        pieces.append(data)
        small.clear()
        return size

    def _rotate(self, group: deque[Stream], stream: Stream) -> None:
        """Have the next group, and in this one the next stream, have their turn."""
        self._groups.pop(0)
        group.popleft()
        if stream.in_turn:
            group.append(stream)
        if group:
            self._groups.append(group)
        else:
            del self._group_of[stream.group]

    def _leave_round(self, stream: Stream) -> None:
        stream.in_turn = False
        group = self._group_of[stream.group]
        group.remove(stream)
        if not group:
            del self._group_of[stream.group]
            self._groups.remove(group)


def _same_run(last: Ack, ack: Ack) -> bool:
    """Whether `ack` alone tells what both tell: numbers in a run have no holes."""
    if last.number is None or ack.number is None:
        return last.number is ack.number
    return ack.number - last.number == ack.seq - last.seq
