"""What is said on a connection while it is JSON: calls wait for their replies, events go to whoever wants them."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import UNSET

from guestmux.errors import ConnectionLost, GuestmuxError, NoStreams, remote_error
from guestmux.event import SizedEvent, from_wire
from guestmux.guest_stream import GuestStream
from guestmux_protocol import messages
from guestmux_protocol.client import ClientConnection, ClientState, Connected, Garbled, Received, Upgraded
from guestmux_transport.pipe import HIGH_WATER, Pipe
from guestmux_transport.pipe_errors import PipeClosed

SYNC_ID_BITS = 53
"""Random bits of a connection's number: unlikely to meet an earlier one, and exact in any JSON reader."""

OnEvents = Callable[[Sequence[SizedEvent]], None]
"""Takes events, in order."""

RESTARTED = "the guest's side restarted"
GARBLED = "what the guest said was cut off"

MAY_HAVE_RUN = "the command may or may not have run"

logger = logging.getLogger(__name__)


class JsonTalk:
    """A connection in `qga` or `qmp`, up to its end or to the guest's consent to speak mux.

    Args:
        pipe: the bytes.
        mux: whether a `qmp` guest is asked to go over to mux.
        on_events: called for all events.
        on_restart: called when the guest's side restarted under the connection.
        on_garbled: called when something was cut off that may have been an event.
        on_change: called when `ready` may have changed.

    Attributes:
        upgraded: the guest's consent.
    """

    def __init__(
        self,
        pipe: Pipe,
        *,
        mux: bool,
        on_events: OnEvents,
        on_restart: Callable[[str], None],
        on_garbled: Callable[[str], None],
        on_change: Callable[[], None],
    ) -> None:
        self.upgraded: Upgraded | None = None
        self._pipe = pipe
        self._connection = ClientConnection(secrets.randbits(SYNC_ID_BITS), mux=mux)
        self._on_events = on_events
        self._on_restart = on_restart
        self._on_garbled = on_garbled
        self._on_change = on_change
        self._calls: dict[Any, _Call] = {}
        self._bytes_since_message = 0
        self._was_ready = self._garbled = False
        self._flush()

    def __repr__(self) -> str:
        return f"{self._connection.state.name} {self.dialect} calls={len(self._calls)}"

    @property
    def dialect(self) -> str:
        """`qga` or `qmp`."""
        return self._connection.dialect

    @property
    def greeting(self) -> messages.Greeting | None:
        """The guest's greeting, on a `qmp` port."""
        return self._connection.greeting

    @property
    def ready(self) -> bool:
        """Whether a call can be sent now."""
        return self._connection.state is ClientState.READY

    @property
    def concurrent(self) -> bool:
        """Whether calls overtake each other."""
        return self._connection.concurrent

    @property
    def calls(self) -> int:
        """How many wait for their reply."""
        return len(self._calls)

    async def call(
        self, command: str, arguments: dict[str, Any], convert: Callable[[Any], Any] | None = None
    ) -> Any:
        """See `Link.call`."""
        request_id = self._connection.request(command, arguments)
        self._calls[request_id] = call = _Call(convert)
        try:
            self._flush()
            if self._pipe.pending > HIGH_WATER:
                await self._drain()
            return await call.future
        finally:
            self._calls.pop(request_id, None)

    async def open(self, command: str, arguments: dict[str, Any]) -> GuestStream:
        """Refuse a stream."""
        raise NoStreams(f"{command} needs a port that speaks mux; this one speaks {self.dialect}")

    async def take(self, data: bytes | None = None) -> bool:
        """Take what comes next, or what came already. False: it is the end."""
        if data is None:
            data = await self._pipe.receive()
        self._bytes_since_message += len(data)
        if received := self._connection.receive(data):
            share = self._bytes_since_message // len(received)
            self._bytes_since_message = 0
            for message in received:
                self._dispatch(message, share)
        self._flush()
        return bool(data)

    def ask_again(self) -> None:
        """Repeat the question who is there, unless the guest said something, or has not got the first one yet."""
        if not self._pipe.pending:
            self._connection.ask_again()
            self._flush()

    def fail_calls(self, reason: str) -> None:
        """No reply will come to what was asked."""
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.fail(ConnectionLost(f"{reason}; {MAY_HAVE_RUN}"))

    async def _drain(self) -> None:
        try:
            await self._pipe.drain()
        except PipeClosed:
            logger.debug(
                "%s: closed while a request was written; its reader tells the caller", self._pipe.name
            )

    def _flush(self) -> None:
        if data := self._connection.data_to_send():
            self._pipe.write(data)

    def _dispatch(self, message: Received, size: int) -> None:
        if isinstance(message, messages.Event):
            self._on_events([(from_wire(message), size)])
        elif isinstance(message, messages.Reply | messages.ErrorReply):
            self._reply(message)
        elif isinstance(message, Garbled):
            logger.debug("%s: skipped what is no message: %s", self._pipe.name, message.desc)
            self._garbled = self._was_ready
        else:
            self._connected(message)

    def _reply(self, reply: messages.Reply | messages.ErrorReply) -> None:
        # Ids of our own making are strings; the guest may send anything, an unhashable list as well.
        call = self._calls.pop(reply.id, None) if isinstance(reply.id, str) else None
        if call is None:
            logger.debug("%s: a reply to nothing we ask: id %r", self._pipe.name, _shown(reply.id))
        elif isinstance(reply, messages.Reply):
            call.succeed(reply.value)
        else:
            call.fail(remote_error(reply))

    def _connected(self, message: Connected | Upgraded) -> None:
        if isinstance(message, Upgraded):
            self.upgraded = message
        if message.again:
            self.fail_calls(RESTARTED)
            self._on_restart(RESTARTED)
        elif self._garbled:
            self._on_garbled(GARBLED)
        self._was_ready, self._garbled = True, False
        self._on_change()


class _Call:
    """A request that waits for its reply."""

    def __init__(self, convert: Callable[[Any], Any] | None) -> None:
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._convert = convert

    def succeed(self, value: Any) -> None:
        if self.future.done():
            return
        try:
            self.future.set_result(self._convert(value) if self._convert else value)
        except GuestmuxError as error:
            self.future.set_exception(error)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


def _shown(untrusted_id: Any) -> str:
    return "none" if untrusted_id is UNSET else repr(untrusted_id)[:64]
