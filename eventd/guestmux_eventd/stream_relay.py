"""Couples a host's stream with an agent's: what one sends, the other gets, and whoever fails is named to the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio

from guestmux_eventd.refusal import CommandFailure
from guestmux_protocol.json_text import JsonError, decode
from guestmux_protocol.messages import GENERIC_ERROR
from guestmux_protocol.mux.frames import Close, Credit, Data, Failure, Party

if TYPE_CHECKING:
    from guestmux_protocol.mux.multiplexer import Multiplexer

BOTH = 2

StreamFrame = Data | Credit | Close


class StreamEnd:
    """A stream's end on one connection.

    Args:
        mux: the connection.
        number: the stream there.
        wake: has the connection send what is queued.
        party: who is at the other end of it.
    """

    __slots__ = ("mux", "number", "party", "wake")

    def __init__(self, mux: Multiplexer, number: int, wake: Callable[[], None], party: Party) -> None:
        self.party: Party = party
        self.mux = mux
        self.number = number
        self.wake = wake

    def take(self, frame: StreamFrame) -> None:
        """Send on what came from the other end. Credit goes end to end, so there is room for all of it."""
        if type(frame) is Data:
            self.mux.send(self.number, frame.data)
        elif type(frame) is Credit:
            self.mux.grant(self.number, frame.count)
        elif type(frame) is Close:
            self.mux.close(self.number, frame.failure, frame.value)
        self.wake()

    def fail(self, failure: Failure) -> None:
        """Break it."""
        self.mux.close(self.number, failure)
        self.wake()


class StreamRelay:
    """One stream, from the host's OPEN to its end.

    Args:
        host: the host's end.

    Attributes:
        check: what the agent's reply has to pass; raises CommandFailure.
        failed: whether it broke after it was open.
    """

    def __init__(self, host: StreamEnd) -> None:
        self.check: Callable[[Any], None] = lambda _value: None
        self.failed = False
        self._host = host
        self._agent: StreamEnd | None = None
        self._group = ""
        self._credit = 0
        self._closed: set[StreamEnd] = set()
        self._refusal: CommandFailure | None = None
        self._answered = anyio.Event()
        self._over = anyio.Event()

    def __repr__(self) -> str:
        state = "OVER" if self._over.is_set() else "OPEN" if self._answered.is_set() else "ASKED"
        return f"<StreamRelay {self._host.number} {state}>"

    @property
    def is_open(self) -> bool:
        """Whether the agent accepted it, and neither side broke it or both closed it."""
        return self._answered.is_set() and not self._over.is_set()

    @property
    def number_at_agent(self) -> int | None:
        """The stream's number on the agent's connection; None before it was asked."""
        return self._agent.number if self._agent else None

    def ask(self, agent_open: Callable[[int], StreamEnd], group: str) -> None:
        """Ask the agent.

        Args:
            agent_open: opens the stream there, with the credit that the host gave meanwhile.
            group: the session that the stream shares its turns with, on the way to the host.
        """
        self._group = group
        self._agent = agent_open(self._credit)

    async def opened(self) -> None:
        """Wait until the agent accepted it.

        Raises:
            CommandFailure: it did not, or left.
        """
        await self._answered.wait()
        if self._refusal:
            raise self._refusal

    async def ended(self) -> None:
        """Wait until both sides are done with it."""
        await self._over.wait()

    def from_host(self, frame: StreamFrame) -> None:
        """The host sent something."""
        if self._agent is not None:
            self._pass(frame, self._host, self._agent)
        elif type(frame) is Credit:
            self._credit += frame.count

    def from_agent(self, frame: StreamFrame) -> None:
        """The agent sent something."""
        if self._agent is not None:
            self._pass(frame, self._agent, self._host)

    def accepted(self, untrusted_text: bytes) -> None:
        """The agent accepted it, with its reply as JSON text."""
        try:
            self.check(decode(untrusted_text))
        except (JsonError, CommandFailure) as error:
            self._refuse(CommandFailure(f"the agent's reply is not what it should be: {error}"))
            self.abandon(Failure(GENERIC_ERROR, "the reply is not what it should be", "eventd"))
            return
        self._host.mux.reply(self._host.number, untrusted_text, group=self._group)
        self._host.wake()
        self._answered.set()

    def refused(self, failure: CommandFailure) -> None:
        """The agent refused it."""
        self._refuse(failure)
        self._over.set()

    def agent_left(self, desc: str) -> None:
        """The agent is gone."""
        if not self._answered.is_set():
            self.refused(CommandFailure(desc))
        elif not self._over.is_set():
            self._break(Failure(GENERIC_ERROR, desc, "agent"), self._host)

    def abandon(self, failure: Failure) -> None:
        """Have the agent give it up; what is over already stays as it is."""
        agent = self._agent
        if agent is None or self._over.is_set():
            self._over.set()
        elif self._answered.is_set():
            self._break(failure, agent)
        else:
            self._over.set()
            agent.mux.cancel(agent.number)
            agent.wake()

    def _refuse(self, failure: CommandFailure) -> None:
        self._refusal = failure
        self._answered.set()

    def _pass(self, frame: StreamFrame, whence: StreamEnd, whither: StreamEnd) -> None:
        if self._over.is_set():
            return
        if type(frame) is Close:
            frame = self._closing(frame, whence)
        whither.take(frame)

    def _closing(self, untrusted_close: Close, whence: StreamEnd) -> Close:
        """A party's CLOSE with that party's name in it, whatever it says itself."""
        self._closed.add(whence)
        failure = untrusted_close.failure
        if failure is None:
            if len(self._closed) == BOTH:
                self._over.set()
            return untrusted_close
        self.failed = True
        self._over.set()
        return Close(untrusted_close.stream, Failure(failure.error_class, failure.desc, whence.party))

    def _break(self, failure: Failure, whither: StreamEnd) -> None:
        self.failed = True
        self._over.set()
        whither.fail(failure)
