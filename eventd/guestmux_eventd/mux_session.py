"""One host connection in mux: every request runs concurrently, streams are relayed, events go out as frames."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from random import SystemRandom
from typing import Any

import anyio
import anyio.lowlevel

from guestmux_eventd.agent_links import Outcome
from guestmux_eventd.asked_work import AskedWork
from guestmux_eventd.bulk_quiet import BulkQuiet
from guestmux_eventd.caller import Caller
from guestmux_eventd.credit_pool import CreditPool
from guestmux_eventd.event_feed import EventFeed
from guestmux_eventd.event_log import Entry
from guestmux_eventd.hosts import Hosts
from guestmux_eventd.large_values import answering
from guestmux_eventd.native import NativeCommands
from guestmux_eventd.refusal import CommandFailure
from guestmux_eventd.router import Router
from guestmux_eventd.stream_relay import StreamEnd, StreamFrame, StreamRelay
from guestmux_protocol.json_bounded import decode_bounded
from guestmux_protocol.json_text import JsonError, encode
from guestmux_protocol.messages import GENERIC_ERROR, JsonText
from guestmux_protocol.messages import Request as Command
from guestmux_protocol.mux import (
    DEFAULT_MUX_LIMITS,
    RESET,
    Ack,
    Cancel,
    Close,
    Credit,
    Data,
    Failure,
    Frame,
    Multiplexer,
    MuxLimits,
    MuxTooLarge,
    Open,
    Request,
)
from guestmux_protocol.patterns import EventFilter
from guestmux_transport.mux_driver import MuxDriver, MuxEnd
from guestmux_transport.pipe import Pipe

ROOM = 512 * 1024
"""Bytes of queued events from which on no more are queued: a batch of a subscription fits into what mux allows."""

CANCELLED = "cancelled by the host"

logger = logging.getLogger(__name__)


class MuxSession:
    """One host, from its going over to mux until it goes back or leaves. Nothing of it outlives that.

    Args:
        pipe: the connection; left open, and if the host is to hear JSON again it was told so.
        natives: eventd's own commands.
        router: the way to the agents'.
        feed: the events for this host.
        hosts: where the connection is entered while it lasts.
        limits: what is taken from the host.
    """

    dialect = "mux"

    def __init__(
        self,
        pipe: Pipe,
        natives: NativeCommands,
        router: Router,
        feed: EventFeed,
        hosts: Hosts,
        limits: MuxLimits = DEFAULT_MUX_LIMITS,
    ) -> None:
        self._delivered = 0
        self._pipe = pipe
        self._natives = natives
        self._router = router
        self.events = feed
        self._hosts = hosts
        self._caller = Caller(pipe.name, self.dialect)
        self._mux = Multiplexer("server", limits, mask=_random_mask() if pipe.outlived else b"")
        self._driver = MuxDriver(pipe, self._mux, self._take_in)
        self._work = AskedWork(self._given_up)
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            Data: self._streamed,
            Credit: self._streamed,
            Close: self._streamed,
            Request: self._request,
            Open: self._open,
            Cancel: self._cancel,
            Ack: self._seen,
        }
        self._relays: dict[int, StreamRelay] = {}
        quiet = BulkQuiet()
        self._to_host, self._to_agents = CreditPool(moved=quiet.moved), CreditPool(moved=quiet.moved)

    def __repr__(self) -> str:
        return f"<MuxSession {self._driver!r}>"

    @property
    def port(self) -> str:
        """The address of the port."""
        return self._pipe.name

    @property
    def wanted(self) -> EventFilter | None:
        """What the host subscribed to."""
        return self.events.wanted

    def has(self, seq: int) -> bool:
        """Whether everything up to this event that the host wants is on the wire; who asks is told when it is."""
        if self.events.wanted is None:
            return True
        if not self.events.has(seq):
            # What makes it so wakes us.
            return False
        if self._delivered < seq:
            self.events.wake()
        return self._delivered >= seq

    def upgrade(self) -> None:
        """Nothing: guest-mux-upgrade is no command here."""

    async def run(self) -> MuxEnd:
        """Serve the host until it goes back to JSON, breaks the protocol or leaves.

        Returns:
            how it ended; where the host is still there it was told that no frame follows.
        """
        stop_listening = self.events.listen(self._wake)
        self._hosts.add(self)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._push_events)
                end = await self._driver.run()
                tasks.cancel_scope.cancel()
        finally:
            await self._work.close()
            stop_listening()
            self._hosts.remove(self)
            self._router.host_left(self._caller)
        self._pipe.write(RESET)
        return end

    def _wake(self) -> None:
        """At once, and without a task: events may come by the thousand."""
        self._push()
        self.events.wake_for_more()

    def _take_in(self, frames: list[Frame]) -> None:
        for frame in frames:
            if handler := self._handlers.get(frame.__class__):
                handler(frame)

    def _streamed(self, frame: StreamFrame) -> None:
        if relay := self._relays.get(frame.stream):
            relay.from_host(frame)

    def _cancel(self, frame: Cancel) -> None:
        self._work.cancel(frame.id)

    def _seen(self, frame: Ack) -> None:
        self.events.acknowledge(frame.seq)

    def _request(self, frame: Request) -> None:
        command = self._read(frame.id, frame.command, frame.arguments)
        if command is None:
            return
        if self._natives.serves(command.command, self.dialect):
            self._run_native(frame.id, command)
        else:
            self._route(frame.id, command)

    def _open(self, frame: Open) -> None:
        command = self._read(frame.stream, frame.command, frame.arguments)
        if command is None:
            return
        if self._natives.serves(command.command, self.dialect):
            self._mux.error(
                frame.stream, GENERIC_ERROR, f"The command {command.command} is no stream; call it"
            )
            return
        end = StreamEnd(self._mux, frame.stream, self._driver.wake, "host")
        relay = StreamRelay(end, self._to_host, self._to_agents)
        self._relays[frame.stream] = relay
        self._work.start(frame.stream, self._relay(frame.stream, command, relay))

    def _read(self, number: int, name: str, untrusted_arguments: bytes) -> Command | None:
        """What the host asks for; None where that cannot be read, and was refused."""
        try:
            arguments = decode_bounded(untrusted_arguments)
        except JsonError as error:
            self._mux.error(number, GENERIC_ERROR, error.desc)
            return None
        if type(arguments) is not dict:
            self._mux.error(number, GENERIC_ERROR, "QMP input member 'arguments' must be an object")
            return None
        return Command(name, arguments)

    def _run_native(self, number: int, command: Command) -> None:
        try:
            self._reply(number, self._natives.run(command, self))
        except CommandFailure as failure:
            self._mux.error(number, failure.error_class, failure.desc)

    def _route(self, number: int, command: Command) -> None:
        """Ask an agent at once where that can be done without waiting, else in a task."""
        try:
            give_up = self._router.ask(command, self._caller, partial(self._answered, number))
        except CommandFailure as failure:
            self._refuse(number, failure)
            return
        if give_up:
            self._work.enter(number, give_up)
        else:
            self._work.start(number, self._call(number, command))

    def _answered(self, number: int, outcome: Outcome) -> None:
        self._work.leave(number)
        if isinstance(outcome, CommandFailure):
            self._refuse(number, outcome)
        else:
            self._reply(number, outcome.passed_on)
            self._driver.wake()

    async def _call(self, number: int, command: Command) -> None:
        try:
            with answering() as answer:
                self._reply(number, answer.take(await self._router.call(command, self._caller)))
                if len(self._work) == 1:
                    self._driver.send_now()  # a turn sooner, where there is nothing that could go together
                else:
                    self._driver.wake()
                while self._mux.congested:
                    await self._sent()
        except CommandFailure as failure:
            self._refuse(number, failure)

    async def _relay(self, number: int, command: Command, relay: StreamRelay) -> None:
        try:
            await self._router.open(command, self._caller, relay)
        except CommandFailure as failure:
            self._refuse(number, failure)
        finally:
            del self._relays[number]

    def _refuse(self, number: int, failure: CommandFailure) -> None:
        try:
            self._mux.error(number, failure.error_class, failure.desc)
        except ValueError:
            # The agent accepted the stream in the same turn of the loop, and the host was told.
            self._mux.close(number, Failure(failure.error_class, failure.desc, "eventd"))
        self._driver.wake()

    def _given_up(self, number: int) -> None:
        self._relays.pop(number, None)
        self._refuse(number, CommandFailure(CANCELLED))

    def _reply(self, number: int, value: Any) -> None:
        try:
            self._mux.reply(number, value.text if type(value) is JsonText else encode(value))
        except JsonError as error:
            self._mux.error(number, GENERIC_ERROR, f"the result is no JSON: {error.desc}")
        except MuxTooLarge as error:
            self._mux.error(number, GENERIC_ERROR, f"the result cannot be sent: {error}")

    def _push(self) -> None:
        """Queue events while there is room."""
        while self._mux.pending_events < ROOM and (events := self.events.take()):
            self._queue(events)

    def _queue(self, events: list[Entry]) -> None:
        for event in events:
            self._mux.event(event.seq, event.name, event.data, event.time)
        self._driver.wake()

    async def _push_events(self) -> None:
        """Push what had no room at first, and tell when all is on the wire."""
        while True:
            await self.events.wait()
            while await self._push_more():
                await self._sent()
            await self._deliver()
            self._hosts.progressed()

    async def _push_more(self) -> bool:
        """Push what there is in memory, and some of what is on disk; whether there may be more."""
        self._push()
        if self._mux.pending_events >= ROOM:
            return True
        events = await self.events.next()
        self._queue(events)
        return bool(events)

    async def _deliver(self) -> None:
        """Wait until the kernel took what was pushed."""
        cursor = self.events.cursor
        while self._mux.pending_events:
            await self._sent()
        if self._pipe.pending:
            # More is sent only when the pipe took all that was before it.
            await self._sent()
        self._delivered = cursor

    async def _sent(self) -> None:
        await self._driver.sent()
        await anyio.lowlevel.checkpoint()


def _random_mask() -> bytes:
    return bytes(SystemRandom().sample(range(256), 256))
