"""An endpoint of a mux connection: calls, streams and events, for hosts and agents alike."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol, TypeVar, overload

from guestmux_protocol.mux import (
    DEFAULT_MUX_LIMITS,
    Ack,
    Cancel,
    Close,
    Credit,
    Data,
    Error,
    Event,
    Failure,
    Frame,
    Multiplexer,
    MuxFull,
    MuxLimits,
    MuxTooLarge,
    Nak,
    Open,
    Reply,
    Request,
    Role,
)
from guestmux_transport.mux_asking import Asking
from guestmux_transport.mux_driver import MuxDriver, MuxEnd
from guestmux_transport.mux_errors import MuxLost
from guestmux_transport.mux_stream import IncomingStream, MuxStream
from guestmux_transport.pipe import Pipe

T = TypeVar("T")

RECEIVE_BUDGET: Final = 64 << 20
"""Bytes that streams may have received and not given to the program, in all: the more streams, the less for each. With
half of it a hundred streams would have a CREDIT every three frames, and a tenth less speed."""

LEAST_WINDOW: Final = 64 * 1024
"""Of one stream, however many there are: what one DATA carries. All windows are multiples of it, as a sender would cut
its frames where the credit ends."""

_NO_CONTEXT: Final = b"{}"


class Serve(Protocol):
    """What a server does with what is asked. All are called at once, in the order of the frames, and must not block."""

    def request(
        self, number: int, command: str, untrusted_arguments: bytes, untrusted_context: bytes
    ) -> None:
        """A command is to be run; to be answered by reply() or error()."""

    def open(self, incoming: IncomingStream) -> None:
        """A stream is wanted."""

    def cancel(self, number: int) -> None:
        """The answer to a request, or to an open, is not wanted any more. It is still to be given."""

    def failed(self, number: int, failure: Failure) -> None:
        """An accepted stream was broken by the other side."""


class MuxConnection:
    """Calls and streams over one pipe.

    Args:
        pipe: the connection; closed by nobody here.
        role: who asks: a host is an asker, an agent a server.
        party: what streams that break here name as the one who failed.
        serve: takes what is asked; of a server.
        on_events: takes events, together those that came together, in order with the replies around them; of an asker.
        on_ack: takes `(seq, number)` of ACKs; of a server.
        on_nak: takes `(seq, error class, text)` of NAKs; of a server.
        limits: what this end takes.
        early: bytes of the peer that were received already.

    Attributes:
        mux: the state.
        end: how it ended, None before.
    """

    def __init__(
        self,
        pipe: Pipe,
        role: Role,
        *,
        party: Literal["host", "agent"],
        serve: Serve | None = None,
        on_events: Callable[[list[Event]], None] | None = None,
        on_ack: Callable[[int, int | None], None] | None = None,
        on_nak: Callable[[int, str, str], None] | None = None,
        limits: MuxLimits = DEFAULT_MUX_LIMITS,
        early: bytes = b"",
    ) -> None:
        self.mux = Multiplexer(role, limits, party=party)
        self.party: Literal["host", "agent"] = party
        self.end: MuxEnd | None = None
        self._driver = MuxDriver(pipe, self.mux, self._take, early=early)
        self._serve = serve
        self._on_events = on_events
        self._on_ack = on_ack
        self._on_nak = on_nak
        self._answers: dict[int, Asking] = {}
        self._streams: dict[int, MuxStream] = {}
        self._waiting: deque[Asking] = deque()
        self._lost: str | None = None
        self._takers: dict[type[Any], Callable[[Any], None]] = {
            Reply: self._answered,
            Error: self._answered,
            Data: self._data_came,
            Credit: self._credit_came,
            Close: self._close_came,
            Request: self._requested,
            Open: self._opened,
            Cancel: self._cancel_came,
            Ack: self._ack_came,
            Nak: self._nak_came,
        }

    def __repr__(self) -> str:
        return f"<MuxConnection {self._driver.pipe.name} {self.mux!r}>"

    # The connection

    async def run(self) -> MuxEnd:
        """Receive and send until it is over; then everything that waits fails with MuxLost. The pipe is left open."""
        try:
            self.end = await self._driver.run()
        finally:
            self.fail(self.end.reason if self.end else "the connection was closed here")
        return self.end

    def wake(self) -> None:
        """Have what is queued sent."""
        self._driver.wake()

    def send_now(self) -> None:
        """As wake(), but a turn of the loop earlier: for what nothing else is going to be queued with."""
        self._driver.send_now()

    def fail(self, reason: str) -> None:
        """Fail all calls and streams with MuxLost, those that come later as well."""
        if self._lost is not None:
            return
        self._lost = reason
        asked = [*self._answers.values(), *self._waiting]
        streams = [*self._streams.values()]
        self._answers.clear()
        self._waiting.clear()
        self._streams.clear()
        for asking in asked:
            asking.fail(MuxLost(reason))
        for stream in streams:
            stream.lose(reason)

    def reset(self) -> None:
        """Send 0xFF: the peer is to speak something else. No frame is sent after it; what is asked fails."""
        self._driver.reset()
        self.fail("the mux dialect was given up here")

    async def flush(self) -> None:
        """Wait until everything queued was handed to the kernel, or never will be."""
        await self._driver.flush()

    @property
    def partial(self) -> int:
        """Bytes that came of a frame whose end has not."""
        return self.mux.partial

    # An asker

    @overload
    async def call(self, command: str, arguments: bytes, context: bytes = ...) -> bytes: ...

    @overload
    async def call(
        self, command: str, arguments: bytes, context: bytes = ..., *, convert: Callable[[bytes], T]
    ) -> T: ...

    async def call(
        self,
        command: str,
        arguments: bytes,
        context: bytes = _NO_CONTEXT,
        *,
        convert: Callable[[bytes], Any] = bytes,
    ) -> Any:
        """Have a command run; waits until the peer may be asked. When it is cancelled, the peer is told.

        Args:
            command: its name.
            arguments: a JSON object.
            context: a JSON object.
            convert: makes the result of the reply, before any later frame is handed on. Errors of ours are the
                caller's; it must raise no others.

        Raises:
            MuxRefused: the peer's error.
            MuxLost: the connection ended.
            MuxTooLarge: no frame carries it.
        """
        return await self._ask(
            lambda: self.mux.request(command, arguments, context), lambda reply: convert(reply.value)
        )

    async def open(
        self, command: str, arguments: bytes, context: bytes = _NO_CONTEXT, *, group: str = ""
    ) -> MuxStream:
        """Open a stream; waits until the peer may be asked. When it is cancelled, the peer is told.

        Args:
            command: its name.
            arguments: a JSON object.
            context: a JSON object.
            group: streams of one group share the group's turns.

        Raises:
            MuxRefused: the peer's error.
            MuxLost: the connection ended.
            MuxTooLarge: no frame carries it.
        """
        window = self.window(more=1)
        stream: MuxStream = await self._ask(
            lambda: self.mux.open(command, arguments, context, group=group, credit=window),
            lambda reply: self._new_stream(reply.id, reply.value, window),
        )
        return stream

    def ack(self, seq: int, number: int | None = None) -> None:
        """Tell that events up to `seq` arrived."""
        self.mux.ack(seq, number)
        self.wake()

    async def _ask(self, ask: Callable[[], int], convert: Callable[[Reply], Any]) -> Any:
        if self._lost is not None:
            raise MuxLost(self._lost)
        asking = Asking(ask, convert)
        if self._waiting or not self._asked(asking):
            self._waiting.append(asking)
        try:
            return await asking.future
        except asyncio.CancelledError:
            self._give_up(asking)
            raise

    def _asked(self, asking: Asking) -> bool:
        """Whether there was room to ask."""
        try:
            asking.number = asking.ask()
        except MuxFull:
            return False
        self._answers[asking.number] = asking
        if len(self._answers) == 1:
            self.send_now()
        else:
            self.wake()
        return True

    def _ask_waiting(self) -> None:
        """There may be room for those that wait: first come, first served."""
        while self._waiting:
            asking = self._waiting[0]
            try:
                if not asking.future.done() and not self._asked(asking):
                    return
            except MuxTooLarge as error:
                asking.future.set_exception(error)
            self._waiting.popleft()

    def _give_up(self, asking: Asking) -> None:
        """The caller was cancelled: nobody wants the answer, or the stream that has just been opened."""
        if (stream := asking.opened()) is not None:
            stream.give_up()
        elif asking.number:
            self._answers.pop(asking.number, None)
            self.mux.cancel(asking.number)
            self.wake()

    # A server

    def reply(self, number: int, value: bytes) -> None:
        """Answer a request. Raises ValueError: it was answered; MuxTooLarge: it is still to be answered."""
        if self._lost is None:
            self.mux.reply(number, value)
            self.wake()

    def error(self, number: int, error_class: str, desc: str) -> None:
        """Answer that a request failed. Raises ValueError: it was answered."""
        if self._lost is None:
            self.mux.error(number, error_class, desc)
            self.wake()

    def event(self, seq: int, name: str, data: bytes, time: int) -> None:
        """Send an event; those of one turn of the loop go out together. See Multiplexer.event."""
        self.mux.event(seq, name, data, time)
        self.wake()

    async def event_room(self) -> None:
        """Wait until event() takes more, or the connection is over."""
        while self._lost is None and not self.mux.event_room:
            await self._driver.sent()

    # For streams

    def forget(self, number: int) -> None:
        """A stream needs no more news."""
        self._streams.pop(number, None)

    def accept(self, number: int, reply: bytes, group: str) -> MuxStream:
        """Accept a stream; see IncomingStream."""
        if self._lost is not None:
            raise MuxLost(self._lost)
        window = self.window(more=1)
        self.mux.reply(number, reply, group=group, credit=window)
        self.wake()
        return self._new_stream(number, reply, window)

    def refuse(self, number: int, error_class: str, desc: str) -> None:
        """Refuse a stream; see IncomingStream."""
        self.error(number, error_class, desc)

    def window(self, more: int = 0) -> int:
        """Bytes that the peer of a stream may send beyond what was received, with so many streams more."""
        share = RECEIVE_BUDGET // max(1, len(self._streams) + more)
        return min(self.mux.limits.window, max(LEAST_WINDOW, share - share % LEAST_WINDOW))

    def _new_stream(self, number: int, reply: bytes, window: int) -> MuxStream:
        stream = self._streams[number] = MuxStream(self, number, reply, window)
        return stream

    # What comes

    def _take(self, frames: list[Frame]) -> None:
        events: list[Event] = []
        takers = self._takers
        for frame in frames:
            if type(frame) is Event:
                events.append(frame)
                continue
            if events:
                self._hand_on(events)
                events = []
            if taker := takers.get(frame.__class__):
                taker(frame)
        if events:
            self._hand_on(events)
        self._ask_waiting()

    def _hand_on(self, events: list[Event]) -> None:
        if self._on_events:
            self._on_events(events)

    def _answered(self, answer: Reply | Error) -> None:
        if asking := self._answers.pop(answer.id, None):
            asking.settle(answer)

    def _data_came(self, data: Data) -> None:
        if stream := self._streams.get(data.stream):
            stream.data_came(data.data)

    def _credit_came(self, credit: Credit) -> None:
        if stream := self._streams.get(credit.stream):
            stream.credit_came()

    def _close_came(self, close: Close) -> None:
        if stream := self._streams.get(close.stream):
            stream.close_came(close)
        if close.failure and self._serve:
            self._serve.failed(close.stream, close.failure)

    def _requested(self, request: Request) -> None:
        if self._serve:
            self._serve.request(request.id, request.command, request.arguments, request.context)
        else:
            self._no_command(request.id, request.command)

    def _opened(self, opened: Open) -> None:
        if self._serve:
            self._serve.open(IncomingStream(self, opened))
        else:
            self._no_command(opened.stream, opened.command)

    def _no_command(self, number: int, command: str) -> None:
        self.error(number, "CommandNotFound", f"The command {command} has not been found")

    def _cancel_came(self, cancel: Cancel) -> None:
        if self._serve:
            self._serve.cancel(cancel.id)

    def _ack_came(self, ack: Ack) -> None:
        if self._on_ack:
            self._on_ack(ack.seq, ack.number)

    def _nak_came(self, nak: Nak) -> None:
        if self._on_nak:
            self._on_nak(nak.seq, nak.error_class, nak.desc)
