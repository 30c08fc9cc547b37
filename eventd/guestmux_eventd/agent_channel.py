"""The socket to one agent: calls and streams to it, events from it."""

from __future__ import annotations

import asyncio
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
from guestmux_transport.mux_driver import MuxDriver
from guestmux_transport.pipe import Pipe

MAX_DESC = 1000
"""Characters of an agent's own error text that go on to the host."""

UNSURE = "the command may or may not have run"

TakeEvents = Callable[[list[Event], Multiplexer], None]


class AgentChannel:
    """One agent's channel, from its first word to its end. There may be a thousand, so each is small.

    Args:
        pipe: the socket, or rather what came of it.
        name: the agent's, for texts.
        greeted: called once the agent spoke.
        take_events: takes the events that came, and answers them.
        mux: its state.
    """

    __slots__ = ("_asked", "_driver", "_greeted", "_mux", "_name", "_take_events")

    def __init__(
        self,
        pipe: Pipe,
        name: str,
        greeted: Callable[[], None],
        take_events: TakeEvents,
        mux: BoundedMultiplexer,
    ) -> None:
        self._name = name
        self._take_events = take_events
        self._mux = mux
        self._driver = MuxDriver(pipe, self._mux, self._take_in)
        self._greeted = greeted
        self._asked: dict[int, asyncio.Future[bytes] | StreamRelay] = {}

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

    async def call(self, command: str, arguments: bytes, context: bytes, timeout: float) -> bytes:
        """Run a command; when this is cancelled, or takes too long, the agent is told.

        Args:
            command: its name.
            arguments: its arguments; JSON text.
            context: deadline and port; JSON text.
            timeout: seconds until it is given up.

        Returns:
            its result; JSON text, unchecked.

        Raises:
            CommandFailure: the agent failed, left, or has too much to do.
            TimeoutError: it took too long.
        """
        try:
            number = self._mux.request(command, arguments, context)
        except (MuxFull, MuxTooLarge) as error:
            raise self._refusal(error) from error
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        self._asked[number] = answer
        if len(self._asked) == 1:
            self._driver.send_now()  # a turn sooner, where there is nothing that could go together
        else:
            self._driver.wake()
        timer = loop.call_later(timeout, _time_is_up, answer)
        try:
            return await answer
        except (asyncio.CancelledError, TimeoutError):
            self._mux.cancel(number)
            self._driver.wake()
            raise
        finally:
            timer.cancel()
            self._asked.pop(number, None)

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
        asked = self._asked.get(frame.id)
        if isinstance(asked, StreamRelay):
            if isinstance(frame, Reply):
                asked.accepted(frame.value)
            else:
                asked.refused(failure_of(frame))
        elif asked is not None and not asked.done():
            if isinstance(frame, Reply):
                asked.set_result(frame.value)
            else:
                asked.set_exception(failure_of(frame))

    def _agent_left(self) -> None:
        asked, self._asked = self._asked, {}
        gone = CommandFailure(f"the agent disconnected; {UNSURE}")
        for each in asked.values():
            if isinstance(each, StreamRelay):
                each.agent_left("the agent disconnected")
            elif not each.done():
                each.set_exception(gone)

    # One for all: a table for each of a thousand agents would be as large as the rest of what it has here.
    _handlers: ClassVar[dict[type[Any], Callable[[AgentChannel, Any], None]]] = {
        Hello: _hello,
        Reply: _answered,
        Error: _answered,
        Data: _streamed,
        Credit: _streamed,
        Close: _streamed,
    }


def _time_is_up(answer: asyncio.Future[bytes]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())


def failure_of(error: Error) -> CommandFailure:
    """An agent's error, as a host gets it."""
    known = error.error_class == COMMAND_NOT_FOUND
    return CommandFailure(error.desc[:MAX_DESC], COMMAND_NOT_FOUND if known else GENERIC_ERROR)
