"""One host connection in JSON: requests answered in order, concurrent ones as they finish, events in between."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, Protocol

import anyio
from anyio.abc import TaskGroup

from guestmux_eventd.agent_links import GiveUp, Outcome
from guestmux_eventd.caller import Caller
from guestmux_eventd.changes import Changes
from guestmux_eventd.event_feed import EventFeed
from guestmux_eventd.host_reader import HostReader
from guestmux_eventd.hosts import Hosts
from guestmux_eventd.large_values import Answer, answering
from guestmux_eventd.native import NativeCommands
from guestmux_eventd.refusal import CommandFailure
from guestmux_eventd.router import Router
from guestmux_protocol.guest import GUEST
from guestmux_protocol.incoming import Answered, Incoming
from guestmux_protocol.json_text import JsonError
from guestmux_protocol.messages import GENERIC_ERROR, Request
from guestmux_protocol.patterns import EventFilter
from guestmux_transport.flag import Flag
from guestmux_transport.pipe import HIGH_WATER, Pipe
from guestmux_transport.pipe_errors import PipeClosed

MAX_WAITING = 8
"""In-band requests that wait for their turn, as QEMU's monitor allows (QMP_REQ_QUEUE_LEN_MAX); then reading stops."""

LAST_WORDS = 2.0
"""Seconds for what a `qga` host that left had sent; the next host waits meanwhile."""

UPGRADE = "guest-mux-upgrade"

MAX_CONCURRENT = 256
"""`exec-oob` requests under way on one connection; one more is refused, so that no host fills eventd's memory."""

logger = logging.getLogger(__name__)


class Dialect(Protocol):
    """What is spoken on the connection; see guestmux_protocol.qga and .qmp."""

    name: str

    def opened(self) -> bytes:
        """What to send first."""

    def receive(self, data: bytes) -> list[Incoming]:
        """Requests in the host's bytes."""

    def reply(self, request: Request, value: Any) -> bytes:
        """A successful reply."""

    def error(self, request: Request, error_class: str, desc: str) -> bytes:
        """An error reply."""


class HostSession:
    """One host, from its coming to its leaving. Nothing of it outlives the connection.

    Args:
        pipe: the connection.
        dialect: what is spoken on it.
        natives: eventd's own commands.
        router: the way to the agents'.
        feed: the events for this host.
        hosts: where the connection is entered while it lasts.
        early: what the host sent, received already.
    """

    def __init__(
        self,
        pipe: Pipe,
        dialect: Dialect,
        natives: NativeCommands,
        router: Router,
        feed: EventFeed,
        hosts: Hosts,
        early: bytes = b"",
    ) -> None:
        self._early = early
        self._pipe = pipe
        self._dialect = dialect
        self._natives = natives
        self._router = router
        self.events = feed
        self._hosts = hosts
        self._caller = Caller(pipe.name, dialect.name)
        self._waiting: deque[Incoming] = deque()
        self._answering = False
        self._finishing = False
        self._concurrent = 0
        self._numbers = count()
        self._asked: dict[int, GiveUp] = {}
        self._queue_changed = Changes()
        self._conversed = anyio.Event()
        self._over = Flag()
        self._upgraded = False
        self._reader = HostReader(pipe, dialect, self._answer_now, self._queue, self._send)

    def __repr__(self) -> str:
        return f"<HostSession {self._pipe.name} {self._dialect!r} waiting={len(self._waiting)}>"

    @property
    def dialect(self) -> str:
        """The dialect's name."""
        return self._dialect.name

    @property
    def port(self) -> str:
        """The address of the port."""
        return self._pipe.name

    @property
    def wanted(self) -> EventFilter | None:
        """What the host subscribed to."""
        return self.events.wanted

    def has(self, seq: int) -> bool:
        """Whether everything up to this event that the host wants is on the wire."""
        return self.events.wanted is None or (self.events.has(seq) and not self._pipe.pending)

    def upgrade(self) -> None:
        """Go over to mux: the reply that is being made is the last that the host gets from here."""
        self._upgraded = True
        self._reader.stop()
        self.events.clear()

    async def run(self) -> bool:
        """Serve the host until it leaves, or goes over to mux; then cancel what it asked for.

        Returns:
            whether it goes over to mux: then the pipe is open, and the next byte on it is mux, both ways.
        """
        stop_listening = self.events.listen(self.events.wake_for_more)
        self._hosts.add(self)
        try:
            async with anyio.create_task_group() as self._tasks:
                tasks = self._tasks
                tasks.start_soon(self._converse, tasks)
                tasks.start_soon(self._watch_pipe)
                await self._over.wait()
                if not self._upgraded:
                    await self._hear_out()
                tasks.cancel_scope.cancel()
        finally:
            for give_up in self._asked.values():
                give_up()
            stop_listening()
            self._hosts.remove(self)
            self._router.host_left(self._caller)
            if not self._upgraded:
                self._pipe.close()
        return self._upgraded

    async def _watch_pipe(self) -> None:
        await self._pipe.wait_closed()
        self._over.set()

    async def _hear_out(self) -> None:
        """Do what a host sent and did not wait for, as qemu-ga does; `echo REQUEST | socat` is such a host."""
        if self.dialect == "qga":
            with anyio.move_on_after(LAST_WORDS):
                await self._conversed.wait()

    async def _converse(self, tasks: TaskGroup) -> None:
        self._send(self._dialect.opened())
        tasks.start_soon(self._push_events)
        tasks.start_soon(self._answer_waiting)
        early, self._early = self._early, b""
        try:
            await self._reader.run(early)
            if self._upgraded:
                return
            await self._finish()
        except PipeClosed:
            logger.debug("%s: the host left", self._pipe.name)
        self._conversed.set()
        self._pipe.close()

    def _send(self, data: bytes) -> None:
        """Write, unless the host was told that it reads mux from here on."""
        if self._over.is_set():
            return
        self._pipe.write(data)
        if self._upgraded:
            self._over.set()

    async def _finish(self) -> None:
        """A host that shut only its sending side still gets its replies."""
        self._finishing = True
        while self._waiting or self._answering or self._concurrent:
            await self._queue_changed.wait()
        await self._pipe.flush()

    def _answer_now(self, incoming: Incoming) -> bytes | None:
        """The reply to what needs no task, b"" when it comes later; None when it needs one, or is not the next."""
        if isinstance(incoming, Request) and incoming.oob:
            return self._start_concurrent(incoming)
        if self._waiting or self._answering:
            return None
        if isinstance(incoming, Answered):
            return incoming.data
        if self._natives.serves(incoming.command, self._dialect.name):
            return self._run_native(incoming)
        reply = self._ask(incoming, self._next_answered)
        self._answering = reply == b""
        return reply

    def _next_answered(self) -> None:
        self._answering = False

    def _ask(self, request: Request, ended: Callable[[], None]) -> bytes | None:
        """The reply to a refused request, b"" when an agent was asked and answers later; None when it needs a task.

        Args:
            request: it.
            ended: called before the later reply is sent.
        """
        if self._pipe.pending > HIGH_WATER:
            return None
        number = next(self._numbers)
        try:
            give_up = self._router.ask(request, self._caller, partial(self._settled, number, request, ended))
        except CommandFailure as failure:
            return self._dialect.error(request, failure.error_class, failure.desc)
        if give_up is None:
            return None
        self._asked[number] = give_up
        return b""

    def _settled(self, number: int, request: Request, ended: Callable[[], None], outcome: Outcome) -> None:
        del self._asked[number]
        ended()
        if isinstance(outcome, CommandFailure):
            self._send(self._dialect.error(request, outcome.error_class, outcome.desc))
        else:
            self._send(self._encode_routed(request, outcome.passed_on))
        if self._waiting or self._finishing:
            self._queue_changed.notify()

    async def _queue(self, incoming: Incoming) -> None:
        while len(self._waiting) >= MAX_WAITING:
            await self._queue_changed.wait()
        self._waiting.append(incoming)
        self._queue_changed.notify()

    async def _answer_waiting(self) -> None:
        while True:
            while self._answering or not self._waiting:
                await self._queue_changed.wait()
            self._answering = True
            if self._pipe.pending > HIGH_WATER:
                await self._drain()
            await self._answer(self._waiting.popleft())
            self._answering = False
            self._queue_changed.notify()

    def _start_concurrent(self, request: Request) -> bytes:
        """The reply to a concurrent request, or b"" when it comes later."""
        if request.command == UPGRADE:
            return self._dialect.error(request, GENERIC_ERROR, f"The command {UPGRADE} does not support OOB")
        if self._natives.serves(request.command, self._dialect.name):
            return self._run_native(request)
        if self._concurrent >= MAX_CONCURRENT:
            desc = f"{MAX_CONCURRENT} concurrent commands are under way; wait for one to finish"
            return self._dialect.error(request, GENERIC_ERROR, desc)
        reply = self._ask(request, self._concurrent_answered)
        if reply:
            return reply
        self._concurrent += 1
        if reply is None:
            self._tasks.start_soon(self._answer_concurrent, request)
        return b""

    async def _answer_concurrent(self, request: Request) -> None:
        await self._answer(request)
        self._concurrent_answered()
        self._queue_changed.notify()

    def _concurrent_answered(self) -> None:
        self._concurrent -= 1

    async def _answer(self, incoming: Incoming) -> None:
        with answering() as answer:
            self._send(await self._make(incoming, answer))
            if self._pipe.pending > HIGH_WATER:
                await self._drain()

    async def _make(self, incoming: Incoming, answer: Answer) -> bytes:
        if isinstance(incoming, Answered):
            return incoming.data
        if self._natives.serves(incoming.command, self._dialect.name):
            return self._run_native(incoming)
        return await self._run_routed(incoming, answer)

    def _run_native(self, request: Request) -> bytes:
        try:
            return self._encode(request, self._natives.run(request, self))
        except CommandFailure as failure:
            return self._dialect.error(request, failure.error_class, failure.desc)

    async def _run_routed(self, request: Request, answer: Answer) -> bytes:
        try:
            value = answer.take(await self._router.call(request, self._caller))
        except CommandFailure as failure:
            return self._dialect.error(request, failure.error_class, failure.desc)
        return self._encode_routed(request, value)

    def _encode_routed(self, request: Request, value: Any) -> bytes:
        known = GUEST.get(request.command)
        return self._encode(request, value) if known is None or known.success_response else b""

    def _encode(self, request: Request, value: Any) -> bytes:
        try:
            return self._dialect.reply(request, value)
        except JsonError as error:
            return self._dialect.error(request, GENERIC_ERROR, f"the result is no JSON: {error.desc}")

    async def _push_events(self) -> None:
        while True:
            await self.events.wait()
            while events := await self.events.next():
                self._send(b"".join([event.line() for event in events]))
                await self._drain()
            await self._flush()
            self._hosts.progressed()

    async def _drain(self) -> None:
        try:
            await self._pipe.drain()
        except PipeClosed:
            # run() sees it as well, and ends everything.
            await anyio.sleep_forever()

    async def _flush(self) -> None:
        try:
            await self._pipe.flush()
        except PipeClosed:
            await anyio.sleep_forever()
