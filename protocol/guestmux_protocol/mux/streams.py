"""All streams of one end: what may be sent, what may come, and what is thrown away because it crossed an abort."""

from __future__ import annotations

from guestmux_protocol.mux.errors import MuxError
from guestmux_protocol.mux.fair_writer import FairWriter
from guestmux_protocol.mux.frames import Close, Credit, Data, Failure, encode
from guestmux_protocol.mux.stream import (
    SENT_ALL,
    STREAM_LIFE,
    UNANSWERED,
    Step,
    Stream,
    StreamState,
)


class Streams:
    """The table of streams; a stream leaves it when it is over.

    Args:
        writer: where frames are queued.
        max_frame: bytes of one DATA that this end takes.
        asker: whether this end opens streams; only the other end's CLOSE has a value then.
    """

    def __init__(self, writer: FairWriter, *, max_frame: int, asker: bool) -> None:
        self._writer = writer
        self._max_frame = max_frame
        self._asker = asker
        self._streams: dict[int, Stream] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def __contains__(self, number: int) -> bool:
        return number in self._streams

    def numbers(self) -> list[int]:
        """Ids of the streams that are not over."""
        return list(self._streams)

    def sendable(self, number: int) -> int:
        """Bytes that send() takes now."""
        stream = self._streams.get(number)
        return stream.sendable if stream else 0

    # What this end does

    def asked(self, number: int, group: str = "") -> None:
        """An OPEN was sent, or came."""
        self._streams[number] = Stream(number, group)

    def accept(self, number: int, group: str = "") -> None:
        """This end's REPLY is queued."""
        stream = self._streams[number]
        stream.step(Step.ACCEPT)
        stream.group = group

    def refused(self, number: int) -> None:
        """An ERROR was queued, or came."""
        self._writer.drop(self._streams[number])
        self._step(self._streams[number], Step.REFUSE)

    def cancelled(self, number: int) -> bool:
        """Our CANCEL is about to be queued; whether it makes sense."""
        stream = self._streams[number]
        if stream.state is not StreamState.ASKED:
            return False
        self._writer.drop(stream)
        stream.step(Step.CANCEL)
        return True

    def send(self, number: int, data: bytes | memoryview) -> None:
        """Queue bytes; see Multiplexer.send."""
        stream = self._streams.get(number)
        size = len(data)
        if stream is None or size > stream.sendable:
            raise ValueError(f"{size} bytes for stream {number}, which takes {self.sendable(number)}")
        if size:
            stream.credit -= size
            self._writer.data(stream, data)

    def grant(self, number: int, count: int) -> None:
        """Let the peer send more; see Multiplexer.grant."""
        stream = self._streams.get(number)
        if stream and (stream.receives or (self._asker and stream.state is StreamState.ASKED)):
            stream.due += count
            self._writer.credit(stream)

    def close(self, number: int, value: bytes | None) -> None:
        """Send nothing more once the queue is out; nothing happens the second time."""
        stream = self._streams.get(number)
        if stream is None or stream.ending or not (stream.sends or stream.state in UNANSWERED):
            return
        if not stream.sends:
            raise ValueError(f"stream {number} is not answered yet")
        stream.ending = encode(Close(number, None, value))
        self._writer.turn(stream)

    def fail(self, number: int, failure: Failure) -> None:
        """Break a stream that was answered; nothing happens when it is broken or over."""
        stream = self._streams.get(number)
        if stream is None or Step.FAIL not in STREAM_LIFE[stream.state]:
            return
        self._writer.drop(stream)
        self._writer.control(encode(Close(number, failure)))
        self._step(stream, Step.FAIL)

    def ended(self, stream: Stream) -> None:
        """Our clean CLOSE went out."""
        self._step(stream, Step.CLOSE)

    # What the peer does

    def accepted(self, number: int, party_failure: Failure) -> bool:
        """The peer's REPLY came; False when we did not want it any more, and have broken the stream."""
        stream = self._streams[number]
        wanted = stream.state is StreamState.ASKED
        stream.step(Step.ACCEPT)
        if not wanted:
            self._writer.control(encode(Close(number, party_failure)))
        return wanted

    def data(self, frame: Data) -> Data | None:
        """DATA came: the frame if it is for anybody."""
        stream = self._streams.get(frame.stream)
        size = len(frame.data)
        if stream is None or not stream.receives:
            if stream and stream.state is StreamState.ABORTED:
                return None
            raise MuxError(f"DATA for stream {frame.stream}, which takes none")
        if size > stream.granted or size > self._max_frame:
            raise MuxError(f"{size} bytes of DATA where the credit is {stream.granted}")
        stream.granted -= size
        if stream.due:
            self._writer.credit(stream)
        return frame

    def credit(self, frame: Credit) -> Credit | None:
        """CREDIT came: the frame if it is for anybody."""
        stream = self._streams.get(frame.stream)
        if stream is None or stream.state in SENT_ALL:
            return None
        if stream.state in UNANSWERED and self._asker:
            raise MuxError(f"CREDIT for stream {frame.stream} before its answer")
        if stream.credit + stream.queue.size + frame.count > self._writer.window:
            raise MuxError(f"more credit for stream {frame.stream} than the window")
        stream.credit += frame.count
        return frame

    def closed(self, frame: Close) -> Close | None:
        """CLOSE came: the frame if it is news."""
        stream = self._streams.get(frame.stream)
        step = Step.PEER_FAIL if frame.failure else Step.PEER_CLOSE
        if frame.value is not None and not self._asker:
            raise MuxError("a CLOSE with a value from the asker")
        if stream is None and step is Step.PEER_FAIL:
            return None  # an abort that crossed our CLOSE
        if stream is None or step not in STREAM_LIFE[stream.state]:
            raise MuxError(f"CLOSE for stream {frame.stream}, which cannot be closed")
        aborted = stream.state is StreamState.ABORTED
        if step is Step.PEER_FAIL and stream.sends:
            self._writer.control(encode(Close(frame.stream)))
        if step is Step.PEER_FAIL:
            self._writer.drop(stream)
        self._step(stream, step)
        return None if aborted else frame

    def _step(self, stream: Stream, step: Step) -> None:
        stream.step(step)
        if stream.state is StreamState.GONE:
            del self._streams[stream.number]
