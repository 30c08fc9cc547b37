"""The socket to one agent: calls and streams to it, events from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from guestmux_eventd.partial_frames import BoundedMultiplexer
from guestmux_eventd.refusal import CommandFailure
from guestmux_eventd.stream_relay import StreamEnd, StreamFrame, StreamRelay
from guestmux_protocol.messages import COMMAND_NOT_FOUND, GENERIC_ERROR
from guestmux_protocol.mux import (
    Close,
    Credit,
    Data,
    Error,
    Event,
    Frame,
    Hello,
    Multiplexer,
    MuxFull,
    MuxTooLarge,
    Reply,
)
from guestmux_transport.deadlines import Deadlines
from guestmux_transport.mux_driver import MuxDriver
from guestmux_transport.pipe import Pipe

MAX_DESC = 1000
"""Characters of an agent's own error text that go on to the host."""

UNSURE = "the command may or may not have run"

TakeEvents = Callable[[list[Event], Multiplexer], None]

Settle = Callable[[bytes | CommandFailure | TimeoutError], None]


class Question:
    """A call that the agent has not answered.

    Args:
        channel: where it was asked.
        number: its id there.
        settle: told how it ended.
    """

    __slots__ = ("_channel", "_number", "ends", "settle")

    ends: float

    def __init__(self, channel: AgentChannel, number: int, settle: Settle) -> None:
        self._channel = channel
        self._number = number
        self.settle = settle

    def expire(self) -> None:
        """The agent took too long."""
        self._channel.give_up(self._number)
        self.settle(TimeoutError())


class AgentChannel:
    """One agent's channel, from its first word to its end. There may be a thousand, so each is small.

    Args:
        pipe: the socket, or rather what came of it.
        name: the agent's, for texts.
        greeted: called once the agent spoke.
        take_events: takes the events that came, and answers them.
        mux: its state.
        deadlines: those of the calls of all channels.
    """

    __slots__ = ("_asked", "_deadlines", "_driver", "_greeted", "_mux", "_name", "_take_events")

    def __init__(
        self,
        pipe: Pipe,
        name: str,
        greeted: Callable[[], None],
        take_events: TakeEvents,
        mux: BoundedMultiplexer,
        deadlines: Deadlines,
    ) -> None:
        self._name = name
        self._deadlines = deadlines
        self._take_events = take_events
        self._mux = mux
        self._driver = MuxDriver(pipe, self._mux, self._take_in)
        self._greeted = greeted
        self._asked: dict[int, Question | StreamRelay] = {}

    def __repr__(self) -> str:
        return f"<AgentChannel {self._name} {self._mux!r}>"

    async def run(self) -> str:
        """Serve it until it is over; then nothing waits for the agent any more.

        Returns:
            why it is over; empty where the agent ended it.
        """
        try:
            end = await self._driver.run()
            return "" if end.reset_rest is None else end.reason
        finally:
            self._driver.pipe.close()
            self._mux.forget()
            self._agent_left()

    def ask(self, command: str, arguments: bytes, context: bytes, timeout: float, settle: Settle) -> int:
        """Run a command; when it takes too long, the agent is told.

        Args:
            command: its name.
            arguments: its arguments; JSON text.
            context: deadline and port; JSON text.
            timeout: seconds until it is given up.
            settle: called once, later, with the result, which is unchecked JSON text, or with why there is none.

        Returns:
            the number to give it up by.

        Raises:
            CommandFailure: the agent has too much to do.
        """
        try:
            number = self._mux.request(command, arguments, context)
        except (MuxFull, MuxTooLarge) as error:
            raise self._refusal(error) from error
        self._asked[number] = question = Question(self, number, settle)
        self._deadlines.add(question, timeout)
        if len(self._asked) == 1:
            self._driver.send_now()  # a turn sooner, where there is nothing that could go together
        else:
            self._driver.wake()
        return number

    def give_up(self, number: int) -> None:
        """Tell the agent that nobody waits for a call any more; nothing where it ended."""
        if self._end(number):
            self._mux.cancel(number)
            self._driver.wake()

    async def open(
        self, command: str, arguments: bytes, context: bytes, relay: StreamRelay, *, group: str, port: str
    ) -> None:
        """Open a stream, coupled with a host's.

        Args:
            command: its name.
            arguments: its arguments; JSON text.
            context: deadline and port; JSON text.
            relay: the host's end.
            group: the agent's session, by which the host's connection shares its turns out.
            port: the host's, by which this one does.

        Raises:
            CommandFailure: the agent refused, left, or has too much to do.
        """
        try:
            number = self._mux.open(command, arguments, context, group=port)
        except (MuxFull, MuxTooLarge) as error:
            raise self._refusal(error) from error
        self._asked[number] = relay
        relay.ask(StreamEnd(self._mux, number, self._driver.wake, "agent"), group)
        self._driver.wake()
        await relay.opened()

    def forget(self, relay: StreamRelay) -> None:
        """A stream is over."""
        if (number := relay.number_at_agent) is not None:
            self._asked.pop(number, None)

    def close(self) -> None:
        """End it."""
        self._driver.pipe.close()

    def _refusal(self, error: MuxFull | MuxTooLarge) -> CommandFailure:
        return CommandFailure(f"agent '{self._name}' cannot be asked: {error}")

    def _take_in(self, frames: list[Frame]) -> None:
        events: list[Event] = []
        for frame in frames:
            if frame.__class__ is Event:
                events.append(frame)
            elif handler := self._handlers.get(frame.__class__):
                handler(self, frame)
        if events:
            self._take_events(events, self._mux)

    def _hello(self, _frame: Hello) -> None:
        self._greeted()

    def _streamed(self, frame: StreamFrame) -> None:
        relay = self._asked.get(frame.stream)
        if isinstance(relay, StreamRelay):
            relay.from_agent(frame)

    def _answered(self, frame: Reply | Error) -> None:
        if question := self._end(frame.id):
            question.settle(frame.value if isinstance(frame, Reply) else failure_of(frame))
        elif isinstance(relay := self._asked.get(frame.id), StreamRelay):
            if isinstance(frame, Reply):
                relay.accepted(frame.value)
            else:
                relay.refused(failure_of(frame))

    def _end(self, number: int) -> Question | None:
        """A call that is under way, which it is no more."""
        if isinstance(question := self._asked.get(number), Question):
            del self._asked[number]
            self._deadlines.drop(question)
            return question
        return None

    def _agent_left(self) -> None:
        asked, self._asked = self._asked, {}
        gone = CommandFailure(f"the agent disconnected; {UNSURE}")
        for each in asked.values():
            if isinstance(each, StreamRelay):
                each.agent_left("the agent disconnected")
            else:
                self._deadlines.drop(each)
                each.settle(gone)

    # One for all: a table for each of a thousand agents would be as large as the rest of what it has here.
    _handlers: ClassVar[dict[type[Any], Callable[[AgentChannel, Any], None]]] = {
        Hello: _hello,
        Reply: _answered,
        Error: _answered,
        Data: _streamed,
        Credit: _streamed,
        Close: _streamed,
    }


def failure_of(error: Error) -> CommandFailure:
    """An agent's error, as a host gets it."""
    known = error.error_class == COMMAND_NOT_FOUND
    return CommandFailure(error.desc[:MAX_DESC], COMMAND_NOT_FOUND if known else GENERIC_ERROR)
