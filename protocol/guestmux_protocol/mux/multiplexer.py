"""One end of a mux connection without I/O: the same on hosts, in eventd and in agents."""

from __future__ import annotations

from typing import Any, Final

from guestmux_protocol.mux.asked import Asked
from guestmux_protocol.mux.errors import MuxError, MuxFull, MuxTooLarge
from guestmux_protocol.mux.fair_writer import FairWriter, Piece
from guestmux_protocol.mux.frames import (
    Ack,
    Cancel,
    Error,
    Failure,
    Frame,
    Hello,
    Nak,
    Open,
    Party,
    Reply,
    Request,
    encode,
    encode_event,
)
from guestmux_protocol.mux.inbound import Inbound, Role
from guestmux_protocol.mux.limits import (
    CONTROL_BYTES,
    DEFAULT_MUX_LIMITS,
    DESC_BYTES,
    EVENT_ANSWERS,
    EVENT_BYTES,
    NAME_BYTES,
    VERSION,
    MuxLimits,
)
from guestmux_protocol.mux.streams import Streams

_NO_CONTEXT: Final = b"{}"


class Multiplexer:
    """Turns bytes into checked frames, and calls into bytes; knows what is unanswered, and the state of each stream.

    Args:
        role: who asks: the host towards eventd, eventd towards an agent.
        limits: what this end takes, announced in its HELLO.
        party: named as the one who failed where this machine breaks a stream by itself.
        mask: a permutation of the 256 bytes that the peer is to put on the content of its DATA, where bytes of the
            connection may outlive it; see mask.py.

    Attributes:
        said: how many requests, answers to requests and events were queued: what somebody waits for.
    """

    def __init__(
        self,
        role: Role,
        limits: MuxLimits = DEFAULT_MUX_LIMITS,
        *,
        party: Party = "eventd",
        mask: bytes = b"",
    ) -> None:
        self.role = role
        self.limits = limits
        self.said = 0
        self._asked = Asked()
        self._writer = FairWriter(self._ended, max_frame=limits.max_frame, window=limits.window)
        self._streams = Streams(self._writer, max_frame=limits.max_frame, asker=role == "asker")
        self._inbound = Inbound(role, limits, party, self._asked, self._streams, self._writer, mask)
        self._hello = encode(
            Hello(VERSION, limits.max_frame, limits.window, limits.max_streams, limits.max_requests, mask)
        )

    def __repr__(self) -> str:
        return (
            f"<Multiplexer {self.role} requests={len(self._asked.requests)} streams={len(self._streams)} "
            f"pending={self.pending}>"
        )

    @property
    def peer(self) -> Hello | None:
        """The peer's HELLO, None until it came. Before that nothing can be asked, and only our HELLO goes out."""
        return self._inbound.peer

    def receive(self, data: bytes) -> list[Frame]:
        """Take bytes from the peer.

        Returns:
            what came, checked, in order. Not among it is what crossed our own abort. After a Reset nothing follows.

        Raises:
            MuxError: the peer broke a rule; it has the frames before. The connection is over.
        """
        return self._inbound.receive(data)

    @property
    def partial(self) -> int:
        """Bytes that came of a frame whose end has not."""
        return self._inbound.partial

    # What an asker does

    def request(self, command: str, arguments: bytes, context: bytes = _NO_CONTEXT) -> int:
        """Ask for a command to be run.

        Args:
            command: its name.
            arguments: a JSON object.
            context: a JSON object: routing, a deadline.

        Returns:
            the id that the answer will have.

        Raises:
            MuxFull: too much is unanswered or unsent, or the peer has not greeted.
            MuxTooLarge: no frame may carry it.
        """
        number = self._may_ask(command, arguments, context, "requests")
        frame = encode(Request(number, command, arguments, context))
        self.said += 1
        self._asked.add(number, len(arguments) + len(context), request=True)
        self._writer.control(frame)
        return number

    def open(
        self,
        command: str,
        arguments: bytes,
        context: bytes = _NO_CONTEXT,
        *,
        group: str = "",
        credit: int = 0,
    ) -> int:
        """Ask for a stream.

        Args:
            command: its name.
            arguments: a JSON object.
            context: a JSON object.
            group: streams of one group share the group's turns.
            credit: bytes that the peer may send at once.

        Returns:
            the stream's id; REPLY or ERROR with it will come.

        Raises:
            MuxFull: too much is unanswered, unsent or open, or the peer has not greeted.
            MuxTooLarge: no frame may carry it.
        """
        number = self._may_ask(command, arguments, context, "streams")
        frame = encode(Open(number, command, arguments, context))
        self._asked.add(number, len(arguments) + len(context), request=False)
        self._streams.asked(number, group)
        self._writer.control(frame)
        self.grant(number, credit)
        return number

    def cancel(self, number: int) -> None:
        """Ask for what is unanswered to be given up; it is still answered. Nothing happens when it was answered."""
        if number not in self._asked.sizes:
            return
        if number not in self._streams or self._streams.cancelled(number):
            self._writer.control(encode(Cancel(number)))

    def ack(self, seq: int, number: int | None = None) -> None:
        """Tell that events up to `seq` arrived, and what number the journal gave the last.

        Raises:
            MuxError: the peer sends events and reads nothing.
        """
        self._answer_event(Ack(seq, number))

    def nak(self, seq: int, error_class: str, desc: str) -> None:
        """Tell that an event was refused.

        Raises:
            MuxError: the peer sends events and reads nothing.
        """
        self._answer_event(Nak(seq, error_class, _cut(desc)))

    def _may_ask(self, command: str, arguments: bytes, context: bytes, kind: str) -> int:
        """The id for what is to be asked."""
        _check_name(command)
        size = len(arguments) + len(context)
        if size > self.limits.value_bytes:
            raise MuxTooLarge(f"arguments of {size} bytes; {self.limits.value_bytes} are allowed")
        if self.peer is None:
            raise MuxFull("the peer has not greeted yet")
        requests = kind == "requests"
        most = self._inbound.max_requests if requests else self._inbound.max_streams
        if (len(self._asked.requests) if requests else len(self._streams)) >= most:
            raise MuxFull(f"{most} {kind} already; try again later")
        if self.congested or self._asked.size + size > self.limits.value_bytes:
            raise MuxFull("the peer is behind; try again later")
        return self._asked.last + 1

    def _answer_event(self, answer: Ack | Nak) -> None:
        self._writer.answer(answer)
        if self._writer.answers > EVENT_ANSWERS:
            raise MuxError("the peer sends events, and reads no answers to them")

    # What a server does

    def reply(self, number: int, value: bytes, *, group: str = "", credit: int = 0) -> None:
        """Answer what was asked; a stream is open from here on.

        Args:
            number: the id of the REQUEST or OPEN.
            value: JSON.
            group: of a stream: what shares turns with it.
            credit: of a stream: bytes that the asker may send at once.

        Raises:
            ValueError: nothing of this id is unanswered.
            MuxTooLarge: no frame may carry it; it is still to be answered.
        """
        self._check_asked(number)
        self._check_value(value)
        self._asked.answered(number)
        self._writer.control(encode(Reply(number, value)))
        if number in self._streams:
            self._streams.accept(number, group)
            self.grant(number, credit)
        else:
            self.said += 1

    def error(self, number: int, error_class: str, desc: str) -> None:
        """Answer that it failed, or refuse a stream; a long text is cut.

        Raises:
            ValueError: nothing of this id is unanswered.
        """
        self._check_asked(number)
        frame = encode(Error(number, error_class, _cut(desc)))
        self._asked.answered(number)
        self._writer.control(frame)
        if number in self._streams:
            self._streams.refused(number)

    def event(self, seq: int, name: str, data: bytes, time: int) -> None:
        """Send an event.

        Args:
            seq: its number.
            name: its name.
            data: a JSON object.
            time: microseconds since 1970.

        Raises:
            MuxFull: enough is queued; see event_room.
            MuxTooLarge: no frame may carry it.
        """
        if self._writer.event_bytes >= EVENT_BYTES:
            raise MuxFull("the peer is behind with events")
        _check_name(name)
        self._check_value(data)
        self._writer.event(encode_event(seq, name, data, time))
        self.said += 1

    @property
    def event_room(self) -> bool:
        """Whether event() takes one more."""
        return self._writer.event_bytes < EVENT_BYTES

    def _check_asked(self, number: int) -> None:
        if number not in self._asked.sizes:
            raise ValueError(f"{number} is not unanswered")

    def _check_value(self, value: bytes) -> None:
        if len(value) > self.limits.value_bytes:
            raise MuxTooLarge(f"a value of {len(value)} bytes; {self.limits.value_bytes} are allowed")

    # What both do

    def send(self, stream: int, data: bytes | memoryview) -> None:
        """Queue bytes of a stream, which must not change afterwards.

        Raises:
            ValueError: more than sendable(stream).
        """
        if mask := self._inbound.peer_mask:
            data = bytes(data).translate(mask)
        self._streams.send(stream, data)

    def sendable(self, stream: int) -> int:
        """Bytes that send() takes now; 0 for a stream that is over, unknown, not answered or closed by us."""
        return self._streams.sendable(stream)

    def grant(self, stream: int, count: int) -> None:
        """Let the peer send `count` bytes more of a stream. What the window has no room for
        is granted by itself as it gets some. Nothing happens for a stream that receives nothing any more; 0 is nothing.
        """
        self._streams.grant(stream, count)

    def close(self, stream: int, failure: Failure | None = None, value: bytes | None = None) -> None:
        """Send nothing more; or, with a failure, break both directions. Harmless when it was done before.

        Args:
            stream: its id.
            failure: why it broke. What is queued is dropped; of an unanswered OPEN it makes a CANCEL.
            value: a server's result, JSON, of a clean close. The CLOSE goes out behind what is queued.

        Raises:
            ValueError: a clean close, or a server's, of a stream that is not answered yet; an asker's with a value.
            MuxTooLarge: no frame may carry the value.
        """
        if value is not None:
            self._check_value(value)
            if self.role == "asker":
                raise ValueError("only a server closes with a value")
        if failure is None:
            self._streams.close(stream, value)
        elif stream in self._asked.sizes and stream in self._streams:
            self._give_up(stream)
        else:
            self._streams.fail(stream, Failure(failure.error_class, _cut(failure.desc), failure.party))

    def _give_up(self, number: int) -> None:
        if self.role == "server":
            raise ValueError(f"stream {number} is to be refused by error()")
        self.cancel(number)

    def _ended(self, stream: Any) -> None:
        self._streams.ended(stream)

    def bytes_to_send(self, most: int) -> bytes:
        """The next bytes for the peer.

        Args:
            most: about how many; the last frame is whole.

        Returns:
            b"" when there is nothing to be sent, or nothing may be as long as the peer has not greeted.
        """
        return b"".join(self.pieces_to_send(most))

    def pieces_to_send(self, most: int) -> list[Piece]:
        """As bytes_to_send, in pieces: large contents are not copied. Empty where that is b""."""
        if self._hello:
            hello, self._hello = self._hello, b""
            return [hello]
        return self._writer.take(most) if self._inbound.peer else []

    @property
    def pending(self) -> int:
        """Memory that everything queued takes; 0 only when nothing is."""
        return len(self._hello) + self._writer.pending

    @property
    def pending_control(self) -> int:
        """Memory that queued control frames take."""
        return self._writer.control_bytes

    @property
    def pending_events(self) -> int:
        """Memory that queued events take."""
        return self._writer.event_bytes

    @property
    def congested(self) -> bool:
        """Whether a server should stop receiving until its answers went out. An asker always receives."""
        return self._writer.control_bytes >= CONTROL_BYTES

    def over(self) -> tuple[list[int], list[int]]:
        """When the connection is over: ids of the requests without an answer, and of the streams that were not over."""
        return sorted(self._asked.requests), self._streams.numbers()


def _check_name(name: str) -> None:
    if not 0 < len(name) <= NAME_BYTES:
        raise MuxTooLarge(f"a name has 1 to {NAME_BYTES} characters")


def _cut(desc: str) -> str:
    """A text that fits, and has UTF-8."""
    if len(desc) <= DESC_BYTES // 4 and desc.isascii():
        return desc
    return desc.encode("utf-8", "replace")[:DESC_BYTES].decode("utf-8", "ignore")
