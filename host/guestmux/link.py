"""One connection to a guest: calls wait for their replies, events go to whoever wants them."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Any

import anyio
from msgspec import UNSET

from guestmux.errors import ConnectError, ConnectionLost, GuestmuxError, remote_error
from guestmux.event import SizedEvent, from_wire
from guestmux_protocol import messages
from guestmux_protocol.addresses import DialAddress
from guestmux_protocol.client import ClientConnection, ClientState, Connected, Garbled, Received
from guestmux_transport.dial import dial
from guestmux_transport.pipe import HIGH_WATER, Pipe
from guestmux_transport.pipe_errors import OpenError, PipeClosed

SYNC_ID_BITS = 53
"""Random bits of a connection's number: unlikely to meet an earlier one, and exact in any JSON reader."""

OnEvents = Callable[[Sequence[SizedEvent]], None]
"""Takes events, in order."""

logger = logging.getLogger(__name__)


class Link:
    """One connection, from dialling to its end.

    Args:
        pipe: the bytes.
        on_events: called for all events.
        on_restart: called when the guest's side restarted under the connection.
        on_change: called when `ready` may have changed.
    """

    def __init__(
        self,
        pipe: Pipe,
        on_events: OnEvents,
        on_restart: Callable[[str], None],
        on_change: Callable[[], None],
    ) -> None:
        self._pipe = pipe
        self._connection = ClientConnection(secrets.randbits(SYNC_ID_BITS))
        self._on_events = on_events
        self._on_restart = on_restart
        self._on_change = on_change
        self._calls: dict[Any, _Call] = {}
        self._bytes_since_message = 0
        self._why_ended = ""

    def __repr__(self) -> str:
        return (
            f"<Link {self._pipe.name} {self._connection.state.name} {self.dialect} calls={len(self._calls)}>"
        )

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
        return self._connection.state is ClientState.READY and not self._why_ended

    @property
    def received(self) -> int:
        """Bytes that came so far."""
        return self._pipe.received

    @property
    def concurrent(self) -> bool:
        """Whether calls overtake each other."""
        return self._connection.concurrent

    @property
    def blocked(self) -> bool:
        """Whether a call sent now would wait behind others."""
        return bool(self._calls) and not self._connection.concurrent

    async def handshake(self) -> None:
        """Wait until the guest answers.

        Raises:
            ConnectionLost: the connection ended first.
        """
        self._flush()
        while not self.ready:
            if not await self._take():
                raise ConnectionLost("the guest's side hung up")

    async def run(self) -> str:
        """Take what comes until the connection ends; the calls under way fail then. Gives the reason."""
        while not self._why_ended and await self._take():
            pass
        self.end("the guest's side hung up")
        return self._why_ended

    def end(self, reason: str) -> None:
        """Close the connection."""
        if self._why_ended:
            return
        self._why_ended = reason
        self._pipe.close()
        self._fail_calls(reason)
        self._on_change()

    async def call(
        self, command: str, arguments: dict[str, Any], convert: Callable[[Any], Any] | None = None
    ) -> Any:
        """Run a command in the guest.

        Args:
            command: its name.
            arguments: its arguments.
            convert: makes the result of the reply, before anything that came after it is looked at.

        Raises:
            RemoteError: the guest refused.
            ConnectionLost: the connection ended before the reply.
            GuestmuxError: `convert` raised it.
            JsonError: an argument is no JSON value.
            NotReady: `ready` is not true.
        """
        request_id = self._connection.request(command, arguments)
        self._calls[request_id] = call = _Call(convert)
        try:
            self._flush()
            if self._pipe.pending > HIGH_WATER:
                await self._drain()
            return await call.future
        finally:
            self._calls.pop(request_id, None)

    async def _drain(self) -> None:
        try:
            await self._pipe.drain()
        except PipeClosed:
            logger.debug(
                "%s: closed while a request was written; its reader tells the caller", self._pipe.name
            )

    async def _take(self) -> bool:
        data = await self._pipe.receive()
        self._bytes_since_message += len(data)
        if received := self._connection.receive(data):
            share = self._bytes_since_message // len(received)
            self._bytes_since_message = 0
            for message in received:
                self._dispatch(message, share)
        self._flush()
        return bool(data)

    def _flush(self) -> None:
        if data := self._connection.data_to_send():
            self._pipe.write(data)

    def _dispatch(self, message: Received, size: int) -> None:
        if isinstance(message, messages.Event):
            self._on_events([(from_wire(message), size)])
        elif isinstance(message, messages.Reply | messages.ErrorReply):
            self._reply(message)
        elif isinstance(message, Connected):
            self._connected(message)
        elif isinstance(message, Garbled):
            self._garbled(message)

    def _reply(self, reply: messages.Reply | messages.ErrorReply) -> None:
        # Ids of our own making are strings; the guest may send anything, an unhashable list as well.
        call = self._calls.pop(reply.id, None) if isinstance(reply.id, str) else None
        if call is None:
            logger.debug("%s: a reply to nothing we ask: id %r", self._pipe.name, _shown(reply.id))
        elif isinstance(reply, messages.Reply):
            call.succeed(reply.value)
        else:
            call.fail(remote_error(reply))

    def _connected(self, message: Connected) -> None:
        if message.again:
            reason = "the guest's side restarted"
            self._fail_calls(reason)
            self._on_restart(reason)
        self._on_change()

    def _garbled(self, message: Garbled) -> None:
        logger.debug("%s: skipped what is no message: %s", self._pipe.name, message.desc)

    def _fail_calls(self, reason: str) -> None:
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.fail(ConnectionLost(f"{reason}; the command may or may not have run"))


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


async def open_link(
    address: DialAddress,
    timeout: float,
    on_events: OnEvents,
    on_restart: Callable[[str], None],
    on_change: Callable[[], None],
) -> Link:
    """Dial a guest and wait for its first word.

    Args:
        address: where.
        timeout: seconds for all of it.
        on_events: see `Link`.
        on_restart: see `Link`.
        on_change: see `Link`.

    Raises:
        ConnectError: there is no such address, or nobody answers.
    """
    try:
        pipe = await dial(address)
    except OpenError as error:
        raise ConnectError(str(error)) from error
    link = Link(pipe, on_events, on_restart, on_change)
    established = False
    try:
        with anyio.move_on_after(timeout):
            await link.handshake()
            established = True
    except ConnectionLost as error:
        raise ConnectError(f"{address}: {error}; is another host connected, or the guest off?") from error
    finally:
        if not established:
            link.end("not connected")
    if not established:
        raise ConnectError(
            f"nobody answers on {address} within {timeout:g} s: is guestmux-eventd running in the guest?"
        )
    return link
