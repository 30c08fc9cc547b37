"""Mux connections joined by fake wires that cut the bytes anywhere, straight or with a relay between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from guestmux_protocol.mux import (
    RESET,
    Cancel,
    Close,
    Credit,
    Data,
    Error,
    Event,
    Failure,
    Frame,
    Hello,
    Multiplexer,
    MuxFull,
    MuxLimits,
    Open,
    Reply,
    Request,
    Reset,
)

Taker = Callable[[Frame], None]


class Wire:
    """One connection: an asker and a server, and the bytes under way between them.

    Attributes:
        asker: one end.
        server: the other.
        over: whether a RESET came at either end.
    """

    def __init__(self, limits: MuxLimits, at_asker: Taker, at_server: Taker) -> None:
        self.asker = Multiplexer("asker", limits, party="host")
        self.server = Multiplexer("server", limits, party="agent")
        self.over = False
        self._takers = (at_asker, at_server)
        self._ways = (bytearray(), bytearray())  # to the asker, to the server
        self.settle()

    def write(self, side: int, most: int) -> None:
        """The end at `side` (0: asker) puts bytes on the wire."""
        self._ways[1 - side].extend((self.asker, self.server)[side].bytes_to_send(most))

    def deliver(self, side: int, most: int) -> None:
        """The end at `side` gets bytes off the wire."""
        way = self._ways[side]
        data = bytes(way[:most])
        del way[:most]
        if data and not self.over:
            for frame in (self.asker, self.server)[side].receive(data):
                if isinstance(frame, Reset):
                    self.over = True
                elif not isinstance(frame, Hello):
                    self._takers[side](frame)

    def reset(self, side: int) -> None:
        """The end at `side` falls back, in the middle of everything; what it sent before still arrives."""
        self._ways[1 - side].extend(RESET)
        while self._ways[1 - side]:
            self.deliver(1 - side, 7)
        assert self.over

    def settle(self) -> None:
        """Everything that is to be sent arrives."""
        for _ in range(10_000):
            before = self.asker.pending, self.server.pending, *map(len, self._ways)
            for side in (0, 1):
                self.write(side, 100_000)
                self.deliver(side, 100_000)
            if before == (0, 0, 0, 0):
                return
        raise AssertionError(f"{self.asker!r} and {self.server!r} never come to rest")


class Relay:
    """What eventd does between a host's wire and an agent's: copies frames, gives up what lost its other end."""

    def __init__(self, limits: MuxLimits, at_asker: Taker, at_server: Taker) -> None:
        self._limits = limits
        self._at_asker = at_asker
        self._at_server = at_server
        self._to_agent: dict[int, int] = {}
        self._to_host: dict[int, int] = {}
        self._events: deque[Event] = deque()
        self.host = self._host_wire()
        self.agent = self._agent_wire()

    def _host_wire(self) -> Wire:
        return Wire(self._limits, self._at_asker, self._from_host)

    def _agent_wire(self) -> Wire:
        return Wire(self._limits, self._from_agent, self._at_server)

    @property
    def coupled(self) -> int:
        """Requests and streams that are passed on."""
        return len(self._to_agent)

    def settle(self) -> None:
        """Everything arrives, across both wires."""
        for _ in range(10_000):
            self.host.settle()
            self.agent.settle()
            if not self._busy():
                return
        raise AssertionError("the relay never comes to rest")

    def _busy(self) -> int:
        wires = (self.host, self.agent)
        return sum(wire.asker.pending + wire.server.pending for wire in wires)

    def host_left(self) -> None:
        """A new host comes after the one that is gone."""
        gone = Failure("GenericError", "the host left", "eventd")
        for number in [*self._to_host]:
            if number in self.agent.asker.over()[1]:
                self.agent.asker.close(number, gone)
            self.agent.asker.cancel(number)
        self._to_agent.clear()
        self._to_host.clear()
        self.host = self._host_wire()

    def agent_left(self) -> None:
        """A new agent comes after the one that is gone."""
        mux = self.host.server
        for number in [*self._to_agent]:
            try:
                mux.error(number, "GenericError", "the agent left")
            except ValueError:
                mux.close(number, Failure("GenericError", "the agent left", "eventd"))
        self._to_agent.clear()
        self._to_host.clear()
        self.agent = self._agent_wire()

    def _couple(self, host: int, agent: int) -> None:
        self._to_agent[host] = agent
        self._to_host[agent] = host

    def _uncouple(self, host: int) -> None:
        if (agent := self._to_agent.pop(host, None)) is not None:
            self._to_host.pop(agent, None)

    def _from_host(self, frame: Frame) -> None:
        mux = self.agent.asker
        try:
            if isinstance(frame, Request):
                self._couple(frame.id, mux.request(frame.command, frame.arguments, frame.context))
            elif isinstance(frame, Open):
                self._couple(frame.stream, mux.open(frame.command, frame.arguments, frame.context))
        except MuxFull as error:
            number = frame.id if isinstance(frame, Request) else frame.stream  # type: ignore[union-attr]
            self.host.server.error(number, "GenericError", str(error))
        if isinstance(frame, Cancel) and frame.id in self._to_agent:
            mux.cancel(self._to_agent[frame.id])
        elif isinstance(frame, Data | Credit | Close) and frame.stream in self._to_agent:
            self._pass(frame, mux, self._to_agent[frame.stream], frame.stream)

    def _from_agent(self, frame: Frame) -> None:
        mux = self.host.server
        if isinstance(frame, Event):
            mux.event(frame.seq, frame.name, frame.data, frame.time)
        elif isinstance(frame, Reply | Error) and frame.id in self._to_host:
            self._answered(frame, self._to_host[frame.id])
        elif isinstance(frame, Data | Credit | Close) and frame.stream in self._to_host:
            host = self._to_host[frame.stream]
            self._pass(frame, mux, host, host)

    def _answered(self, frame: Reply | Error, host: int) -> None:
        mux, stream = self.host.server, frame.id in self.agent.asker.over()[1]
        if isinstance(frame, Reply):
            mux.reply(host, frame.value)
        else:
            mux.error(host, frame.error_class, frame.desc)
        if isinstance(frame, Error) or not stream:
            self._uncouple(host)

    def _pass(self, frame: Data | Credit | Close, mux: Multiplexer, number: int, host: int) -> None:
        if isinstance(frame, Data):
            mux.send(number, frame.data)
        elif isinstance(frame, Credit):
            mux.grant(number, frame.count)
        else:
            mux.close(number, frame.failure, frame.value)
            if frame.failure:
                self._uncouple(host)
