"""Couples a host's stream with an agent's: what one sends, the other gets, and whoever fails is named to the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from guestmux_eventd.credit_pool import CreditPool, CreditWay
from guestmux_eventd.refusal import CommandFailure
from guestmux_protocol.json_bounded import decode_bounded
from guestmux_protocol.json_text import JsonError
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

    def grant(self, count: int) -> None:
        """Let more come."""
        self.mux.grant(self.number, count)
        self.wake()

    def close(self, close: Close) -> None:
        """Send on that the other end sends nothing more."""
        self.mux.close(self.number, close.failure, close.value)
        self.wake()

    def fail(self, failure: Failure) -> None:
        """Break it."""
        self.mux.close(self.number, failure)
        self.wake()


class StreamRelay:
    """One stream, from the host's OPEN to its end.

    Args:
        host: the host's end.
        to_host: what bounds the credit of all of the host's streams on the way to it.
        to_agent: the same on the way to agents.

    Attributes:
        check: what the agent's reply has to pass; raises CommandFailure.
        failed: whether it broke after it was open.
        refusal: why it was never open; None until that is known.
    """

    def __init__(self, host: StreamEnd, to_host: CreditPool, to_agent: CreditPool) -> None:
        self.check: Callable[[Any], None] = lambda _value: None
        self.failed = False
        self._host = host
        self._agent: StreamEnd | None = None
        self._group = ""
        self._pool_to_agent = to_agent
        self._to_host = CreditWay(to_host, host.mux)
        self._to_agent: CreditWay | None = None
        self._closed: set[StreamEnd] = set()
        self.refusal: CommandFailure | None = None
        self._answered = asyncio.Event()
        self._over = asyncio.Event()
        self._is_over = False

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

    def ask(self, agent: StreamEnd, group: str) -> None:
        """The agent was asked.

        Args:
            agent: its end.
            group: the session that the stream shares its turns with, on the way to the host.
        """
        self._group = group
        self._agent = agent
        self._to_agent = CreditWay(self._pool_to_agent, agent.mux)
        self._to_host.connect(agent.grant)

    async def opened(self) -> None:
        """Wait until the agent accepted it.

        Raises:
            CommandFailure: it did not, or left.
        """
        await self._answered.wait()
        if self.refusal:
            raise self.refusal

    async def ended(self) -> None:
        """Wait until both sides are done with it."""
        await self._over.wait()

    def from_host(self, frame: StreamFrame) -> None:
        """The host sent something."""
        if type(frame) is Credit:
            self._to_host.offer(frame.count)
        elif self._agent and self._to_agent:
            self._pass(frame, self._host, self._agent, self._to_agent)

    def from_agent(self, frame: StreamFrame) -> None:
        """The agent sent something."""
        if type(frame) is not Credit:
            if self._agent:
                self._pass(frame, self._agent, self._host, self._to_host)
        elif self._to_agent:
            self._to_agent.offer(frame.count)

    def accepted(self, untrusted_text: bytes) -> None:
        """The agent accepted it, with its reply as JSON text."""
        try:
            self.check(decode_bounded(untrusted_text))
        except (JsonError, CommandFailure) as error:
            self._refuse(CommandFailure(f"the agent's reply is not what it should be: {error}"))
            self.abandon(Failure(GENERIC_ERROR, "the reply is not what it should be", "eventd"))
            return
        self._host.mux.reply(self._host.number, untrusted_text, group=self._group)
        self._host.wake()
        self._answered.set()
        if self._to_agent:
            self._to_agent.connect(self._host.grant)

    def refused(self, failure: CommandFailure) -> None:
        """The agent refused it."""
        self._refuse(failure)
        self._end()

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
            self._end()
        elif self._answered.is_set():
            self._break(failure, agent)
        else:
            self._end()
            agent.mux.cancel(agent.number)
            agent.wake()

    def _end(self) -> None:
        self._is_over = True
        self._over.set()
        self._to_host.end()
        if self._to_agent:
            self._to_agent.end()

    def _refuse(self, failure: CommandFailure) -> None:
        self.refusal = failure
        self._answered.set()

    def _pass(self, frame: StreamFrame, whence: StreamEnd, whither: StreamEnd, way: CreditWay) -> None:
        if self._is_over:
            return
        if type(frame) is Data:
            data = frame.data
            whither.mux.send(whither.number, data)  # credit goes end to end, so there is room for all of it
            whither.wake()
            way.used(len(data))
        elif type(frame) is Close:
            whither.close(self._closing(frame, whence))

    def _closing(self, untrusted_close: Close, whence: StreamEnd) -> Close:
        """A party's CLOSE with that party's name in it, whatever it says itself."""
        self._closed.add(whence)
        failure = untrusted_close.failure
        if failure is None:
            if len(self._closed) == BOTH:
                self._end()
            return untrusted_close
        self.failed = True
        self._end()
        return Close(untrusted_close.stream, Failure(failure.error_class, failure.desc, whence.party))

    def _break(self, failure: Failure, whither: StreamEnd) -> None:
        self.failed = True
        self._end()
        whither.fail(failure)
