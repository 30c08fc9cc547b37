"""A guest, for as long as its host cares: calls, events, and a connection that is made again when it is lost."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio

from guestmux.agent_calls import AgentCalls
from guestmux.app_calls import AppCalls
from guestmux.asking import asking
from guestmux.backoff import Backoff
from guestmux.calls import Calls
from guestmux.clipboard_calls import ClipboardCalls
from guestmux.cursor import Cursor
from guestmux.desktop_calls import DesktopCalls
from guestmux.display_calls import DisplayCalls
from guestmux.errors import (
    CallTimeout,
    ConnectError,
    ConnectionLost,
    NoAddress,
    NotConnected,
)
from guestmux.event_queue import MAX_EVENTS
from guestmux.fact_calls import FactCalls
from guestmux.forward_calls import ForwardCalls
from guestmux.freeze_calls import FreezeCalls
from guestmux.guest_stream import GuestStream
from guestmux.link import Link, open_link
from guestmux.notification_calls import NotificationCalls
from guestmux.power_calls import PowerCalls
from guestmux.process_calls import ProcessCalls
from guestmux.selection import Selection
from guestmux.stream import EventStream
from guestmux.subscriber import RENEW_AFTER, Subscriber
from guestmux.transfer_calls import TransferCalls
from guestmux.waiting import Waiting
from guestmux_protocol.addresses import DialAddress, parse_dial_address
from guestmux_protocol.commands import Position

ADDRESS_VARIABLE = "GUESTMUX_CONNECT"

CONNECT_TIMEOUT = 10.0
"""Seconds until a guest that does not answer is given up; eventd answers in milliseconds."""

Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)


class Guest(
    Calls,
    AgentCalls,
    AppCalls,
    NotificationCalls,
    DesktopCalls,
    ClipboardCalls,
    DisplayCalls,
    FactCalls,
    TransferCalls,
    ProcessCalls,
    ForwardCalls,
    FreezeCalls,
    PowerCalls,
    Waiting,
):
    """A connected guest. Made by `connect`.

    Args:
        address: where it is dialled.
        timeout: seconds for one attempt to connect.
        reconnect: whether to dial again when the connection is lost.
        mux: whether a guest that can is to speak `mux`.
        renew_after: seconds of silence after which the subscription is renewed.
    """

    def __init__(
        self,
        address: DialAddress,
        *,
        timeout: float = CONNECT_TIMEOUT,
        reconnect: bool = True,
        mux: bool = True,
        renew_after: float = RENEW_AFTER,
    ) -> None:
        self.address = address
        self._timeout = timeout
        self._reconnect = reconnect
        self._mux = mux
        self._subscriber = Subscriber(self._request, renew_after)
        self._hub = self._subscriber.hub
        self._link: Link | None = None
        self._changed = anyio.Event()
        self._over = ""

    def __repr__(self) -> str:
        return f"<Guest {self.address} {self._link!r}>"

    @property
    def dialect(self) -> str:
        """What the port speaks: `mux`, with streams; `qmp`, where calls run concurrently; or `qga`, in order."""
        return self._link.dialect if self._link else ""

    @property
    def connected(self) -> bool:
        """Whether a call would be sent at once."""
        return self._link is not None and self._link.ready

    @property
    def concurrent(self) -> bool:
        """Whether calls overtake each other, as in `mux` and `qmp`; else the guest answers them in order."""
        return self._link is not None and self._link.concurrent

    async def call(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
        **more: Any,
    ) -> Any:
        """Run a command in the guest.

        While the connection is lost the call waits for it, within its time.

        Args:
            command: its name, as `session-lock`.
            arguments: its arguments, names as on the wire.
            session: the session whose agent is to run it: a logind id (`c2`), `active`, or `user:NAME`.
            wait: seconds to wait for that agent to register.
            timeout: seconds until the call is given up, in the guest as well when a session is named; 30 by default.
            more: further arguments; an underscore in a name stands for a hyphen.

        Returns:
            the result, as JSON values.

        Raises:
            CommandNotFound: the guest has no such command.
            CommandFailed: it failed, or its arguments are wrong.
            RemoteError: the guest refused otherwise; parent of the two above.
            NotConnected: there was no connection within the time; the command did not run.
            ConnectionLost: it ended before the reply; the command may or may not have run.
            CallTimeout: no reply within the time; the command may or may not have run.
            JsonError: an argument is no JSON value.
        """
        given, patience = asking(arguments, more, session, wait, timeout)
        return await self._request(command, given, patience)

    @property
    def has_streams(self) -> bool:
        """Whether streams can be opened, as on a port that speaks `mux`."""
        return self.dialect == "mux"

    async def stream(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
        **more: Any,
    ) -> GuestStream:
        """Open a stream: `async with await guest.stream("guest-connect", to="tcp:127.0.0.1:22") as stream`.

        Args:
            command: a stream command's name, as `guest-file-download`.
            arguments: as for `call`; `session`, `wait` and `more` likewise.
            session: see `call`.
            wait: see `call`.
            timeout: seconds until the opening is given up; the stream itself lasts as long as it likes.
            more: see `call`.

        Raises:
            NoStreams: the port carries none.
            CommandNotFound: the guest has no such command, or the session's agent has not.
            CommandFailed: the guest refused.
            GuestmuxError: as for `call`.
        """
        given, patience = asking(arguments, more, session, wait, timeout)

        async def opened(link: Link) -> GuestStream:
            return await link.open(command, given)

        return await self._with_link(command, opened, patience)

    def events(
        self,
        *patterns: str,
        since: Position | None = None,
        durable: str | os.PathLike[str] | None = None,
        sessions: Iterable[str] | None = None,
        users: Iterable[str] | None = None,
        rate: Mapping[str, float] | None = None,
        beacon: float | None = None,
        window: int | None = None,
        max_events: int = MAX_EVENTS,
    ) -> EventStream:
        """Subscribe to events. `sessions`, `users`, `rate`, `beacon` and `window` need a guest that has them.

        Args:
            patterns: globs over event names; every event by default.
            since: continue after this position instead of now.
            durable: a file in which the stream keeps its position, and after which it continues when it is there;
                one consumer at a time.
            sessions: of the events that are about a session only those about these, by logind's ids.
            users: of the events that are about a user only those about these, by name.
            rate: pattern -> events a second of each name and session; beyond that the last comes, late.
            beacon: seconds from one Beacon to the next.
            window: events that the guest may send ahead of what the consumer is done with.
            max_events: how many may wait for a slow consumer; what is over is dropped and told by a Gap.

        Raises:
            PatternError: a pattern is none.
            SelectionError: a bound is exceeded.
        """
        selection = Selection(
            patterns or ("*",), sessions=sessions, users=users, rate=rate, beacon=beacon, window=window
        )
        cursor = None if durable is None else Cursor(durable)
        return EventStream(self._subscriber, selection, since, max_events=max_events, cursor=cursor)

    async def open(self) -> None:
        """Connect for the first time; `connect` does.

        Raises:
            ConnectError: the guest cannot be reached.
        """
        self._link = await self._dial()

    async def keep(self) -> None:
        """Serve the connection, and make it anew when it is lost; `connect` runs it as a task."""
        backoff = Backoff()
        try:
            while self._link is not None:
                reason = await self._serve(self._link)
                logger.info("%s: %s", self.address, reason)
                self._hub.disconnected(reason)
                if not self._reconnect:
                    self._end(reason)
                    return
                self._link = await self._redial(backoff)
                self._notify()
                backoff.reset()
        finally:
            self.close()

    def close(self) -> None:
        """End the connection, and with it every call and stream."""
        self._end("the guest was closed")

    async def _serve(self, link: Link) -> str:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._subscriber.run, link)
            reason = await link.run()
            tasks.cancel_scope.cancel()
        return reason

    async def _dial(self) -> Link:
        return await open_link(
            self.address,
            self._timeout,
            mux=self._mux,
            on_events=self._hub.dispatch,
            settled=lambda: self._hub.settled,
            on_restart=self._hub.disconnected,
            on_garbled=self._hub.garbled,
            on_change=self._notify,
        )

    async def _redial(self, backoff: Backoff) -> Link:
        while True:
            await anyio.sleep(backoff.next())
            try:
                return await self._dial()
            except ConnectError as error:
                logger.debug("%s", error)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
        self._subscriber.changed()

    def _end(self, reason: str) -> None:
        """No connection will be made any more."""
        if not self._over:
            self._over = reason
            if self._link is not None:
                self._link.end(reason)
            self._hub.end(ConnectionLost(reason))
            self._notify()

    async def _request(
        self,
        command: str,
        arguments: dict[str, Any],
        patience: float,
        convert: Callable[[Any], Any] | None = None,
    ) -> Any:
        async def replied(link: Link) -> Any:
            return await link.call(command, arguments, convert)

        return await self._with_link(command, replied, patience)

    async def _with_link(
        self, command: str, ask: Callable[[Link], Awaitable[Answer]], patience: float
    ) -> Answer:
        sent = False
        with anyio.move_on_after(patience):
            link = await self._ready_link()
            sent = True
            return await ask(link)
        if sent:
            raise CallTimeout(f"no reply to {command} within {patience:g} s; it may or may not have run")
        raise NotConnected(f"no connection to {self.address} within {patience:g} s; {command} was not sent")

    async def _ready_link(self) -> Link:
        while True:
            if self._over:
                raise NotConnected(f"not connected: {self._over}")
            if self._link is not None and self._link.ready:
                return self._link
            await self._changed.wait()


@asynccontextmanager
async def connect(
    address: str | None = None, *, timeout: float = CONNECT_TIMEOUT, reconnect: bool = True, mux: bool = True
) -> AsyncIterator[Guest]:
    """Connect to a guest, and stay connected until the block ends. Runs on asyncio.

    Args:
        address: `unix:PATH` of QEMU's chardev socket, `device:PATH` or `vsock:CID:PORT`; $GUESTMUX_CONNECT by default.
        timeout: seconds for the guest to answer.
        reconnect: dial again when the connection is lost; otherwise calls and streams end with it.
        mux: go over to `mux` where the guest can; otherwise stay with JSON, without streams.

    Raises:
        NoAddress: neither an address was given nor $GUESTMUX_CONNECT set.
        AddressError: it is no address.
        ConnectError: nobody is there, or nobody answers.
    """
    text = os.environ.get(ADDRESS_VARIABLE, "") if address is None else address
    if not text:
        raise NoAddress(f"which guest? give an address as unix:PATH, or set ${ADDRESS_VARIABLE}")
    guest = Guest(parse_dial_address(text), timeout=timeout, reconnect=reconnect, mux=mux)
    await guest.open()
    keeper = asyncio.create_task(guest.keep(), name=f"guestmux {text}")
    try:
        yield guest
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])
        # A task that is cancelled before its first step runs no `finally`.
        guest.close()
        if not keeper.cancelled() and (fault := keeper.exception()):
            raise fault
