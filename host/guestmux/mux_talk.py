"""What is said on a connection while it is mux: calls and streams beside each other, and events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import anyio

from guestmux.errors import ConnectionLost, UnexpectedReply, refusal
from guestmux.event import Event, SizedEvent
from guestmux.guest_stream import GuestStream
from guestmux.json_talk import MAY_HAVE_RUN, RESTARTED, OnEvents
from guestmux_protocol import messages
from guestmux_protocol.client import Upgraded
from guestmux_protocol.errors import JsonError
from guestmux_protocol.json_bounded import decode_bounded
from guestmux_protocol.json_text import encode_guarded
from guestmux_protocol.mux import Event as EventFrame
from guestmux_protocol.mux import MuxError
from guestmux_transport.mux_connection import MuxConnection
from guestmux_transport.mux_errors import MuxLost, MuxRefused
from guestmux_transport.pipe import Pipe

HALF_FRAME_SECONDS = 5.0
"""Seconds of silence in the middle of a frame, while something is awaited, after which its rest is not expected any
more: the guest restarted while it wrote, and what it says now is taken for the frame's content."""

ACK_SECONDS = 0.5
"""Seconds until the guest is told which events arrived: many at once, yet soon enough to free its journal."""

EVENT_OVERHEAD = 32
"""Bytes of an EVENT beside its name and data, about."""

CUT_OFF = "the guest's side restarted in the middle of a message"
HUNG_UP = "the guest's side hung up"

logger = logging.getLogger(__name__)


class TalkEnd(NamedTuple):
    """How it ended.

    Args:
        reason: for people.
        rest: JSON that came already, where the connection goes on with that; None where it ended.
        garbled: whether something was cut off that may have been an event.
    """

    reason: str
    rest: bytes | None
    garbled: bool


class MuxTalk:
    """A connection in mux, up to its end or to the guest's falling back to JSON.

    Args:
        pipe: the bytes.
        upgraded: the guest's consent.
        on_events: called for all events.
        settled: tells up to which event all consumers are done.
    """

    dialect = "mux"
    concurrent = True

    def __init__(
        self, pipe: Pipe, upgraded: Upgraded, on_events: OnEvents, settled: Callable[[], int]
    ) -> None:
        self.greeting: messages.Greeting | None = upgraded.greeting
        self._pipe = pipe
        self._connection = MuxConnection(
            pipe, "asker", party="host", on_events=self._take_events, early=upgraded.rest
        )
        self._on_events = on_events
        self._settled = settled
        self._asked = asyncio.Event()
        self._why_over = ""
        self._garbled = False
        self._latest = 0
        self._acknowledged = 0
        self._acknowledging: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"READY mux calls={self.calls}"

    @property
    def ready(self) -> bool:
        """Whether a call can be sent now."""
        return self._connection.end is None and not self._why_over

    @property
    def calls(self) -> int:
        """How many wait for their reply, streams that are open included."""
        requests, streams = self._connection.mux.over()
        return len(requests) + len(streams)

    async def run(self) -> TalkEnd:
        """Take what comes until it ends; calls and streams fail then."""
        rest: bytes | None = b""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch, tasks.cancel_scope)
                end = await self._connection.run()
                tasks.cancel_scope.cancel()
                rest = end.reset_rest
                logger.debug("%s: %s", self._pipe.name, end.reason)
        finally:
            if self._acknowledging is not None:
                self._acknowledging.cancel()
        return TalkEnd(self._why_lost(), rest, self._garbled)

    async def call(
        self, command: str, arguments: dict[str, Any], convert: Callable[[Any], Any] | None = None
    ) -> Any:
        """See `Link.call`."""

        def read(untrusted_value: bytes) -> Any:
            value = _read(command, untrusted_value)
            return convert(value) if convert else value

        self._asked.set()
        try:
            return await self._connection.call(command, encode_guarded(arguments), convert=read)
        except MuxRefused as error:
            raise refusal(error.error_class, error.desc) from None
        except MuxLost:
            raise ConnectionLost(f"{self._why_lost()}; {MAY_HAVE_RUN}") from None

    async def open(self, command: str, arguments: dict[str, Any]) -> GuestStream:
        """See `Link.open`."""
        self._asked.set()
        try:
            stream = await self._connection.open(command, encode_guarded(arguments))
        except MuxRefused as error:
            raise refusal(error.error_class, error.desc) from None
        except MuxLost:
            raise ConnectionLost(f"{self._why_lost()}; {MAY_HAVE_RUN}") from None
        try:
            return GuestStream(stream, command, _read(command, stream.reply), self._why_lost)
        except UnexpectedReply:
            stream.give_up()
            raise

    def fail_calls(self, reason: str) -> None:
        """No reply will come to what was asked, and nothing to streams."""
        self._why_over = self._why_over or reason
        self._connection.fail(reason)

    def _why_lost(self) -> str:
        if self._why_over or self._connection.end is None:
            return self._why_over or HUNG_UP
        return HUNG_UP if self._connection.end.reset_rest is None else RESTARTED

    async def _watch(self, scope: anyio.CancelScope) -> None:
        """End it when a frame breaks off. Where nothing is awaited nothing is looked at."""
        while True:
            await self._asked.wait()
            received = self._pipe.received
            await anyio.sleep(HALF_FRAME_SECONDS)
            if not self.calls:
                self._asked.clear()
            elif self._connection.partial and self._pipe.received == received:
                self._garbled = True
                self.fail_calls(CUT_OFF)
                self._connection.reset()
                scope.cancel()

    def _take_events(self, frames: list[EventFrame]) -> None:
        events: list[SizedEvent] = []
        try:
            for frame in frames:
                event = _read_event(frame)
                events.append((event, len(frame.data) + len(frame.name) + EVENT_OVERHEAD))
        except JsonError as error:
            # Half of a frame, and the beginning of what came when the guest's memory was set back, or it restarted.
            self._garbled = True
            raise MuxError(f"an event is no JSON: {error.desc}") from None
        finally:
            if events:
                self._on_events(events)
                self._latest = max(self._latest, frames[len(events) - 1].seq)
                self._plan_to_acknowledge()

    def _plan_to_acknowledge(self) -> None:
        if self._acknowledging is None:
            loop = asyncio.get_running_loop()
            self._acknowledging = loop.call_later(ACK_SECONDS, self._acknowledge)

    def _acknowledge(self) -> None:
        self._acknowledging = None
        settled = min(self._settled(), self._latest)
        if settled > self._acknowledged:
            self._acknowledged = settled
            self._connection.ack(settled)
        if settled < self._latest:
            self._plan_to_acknowledge()


def _read_event(frame: EventFrame) -> Event:
    seconds, microseconds = divmod(frame.time, 1_000_000)
    return Event.from_text(frame.name, frame.data, seconds, microseconds)


def _read(command: str, untrusted_value: bytes) -> Any:
    try:
        return decode_bounded(untrusted_value)
    except JsonError as error:
        raise UnexpectedReply(f"the guest's answer to {command} is no JSON: {error.desc}") from None
