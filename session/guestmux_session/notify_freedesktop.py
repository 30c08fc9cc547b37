"""session-notify and -notify-close, by the desktop's notification server (Desktop Notifications Specification 1.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import anyio
from msgspec import UNSET

from guestmux_protocol.notification_commands import (
    MAX_LINE,
    MAX_REPLY,
    NOTIFICATIONS,
    NotifyResult,
    SessionNotify,
    SessionNotifyClose,
)
from guestmux_session import notification_request
from guestmux_session.bus_service import BusService
from guestmux_session.declarations import command_of
from guestmux_session.errors import CommandError
from guestmux_session.explained import explained
from guestmux_session.notification_news import NotificationNews
from guestmux_session.open_notifications import (
    Chosen,
    Gone,
    OpenNotifications,
    Reason,
    Replied,
    Watched,
)
from guestmux_session.png_pixels import NoPng, Pixels, png_pixels
from guestmux_session.provider import Provider, ProviderHost
from guestmux_session.telling import Emitter
from guestmux_session.verbs.base64_text import decoded
from guestmux_transport.bus import Bus
from guestmux_transport.bus_signals import Signal, SignalHandle
from guestmux_transport.errors import BusError

NAME = "org.freedesktop.Notifications"
PATH = "/org/freedesktop/Notifications"

FAILED = "the notification server could not show it"

_CLOSED: dict[int, Reason] = {1: "expired", 2: "dismissed", 3: "closed"}


class Settler(Protocol):
    """Takes what a provider lacks, empty for nothing."""

    def settle(self, provider: Provider, lack: str) -> None:
        """Offer the provider's commands, or leave them out."""


class NotifyHost(ProviderHost, Settler, Emitter, Protocol):
    """What this provider needs of its agent."""


class NotifyFreedesktop(Provider):
    """Shows notifications. It is offered while the server runs, or can be started by the bus.

    The server's signals are heard only while a host's notification is open: other programs' wake nobody here.

    Attributes:
        news: what hosts are to hear of; to be run while the agent is registered.
    """

    name = "notify-freedesktop"

    def __init__(self, host: NotifyHost) -> None:
        super().__init__(host)
        self._settler: Settler = host
        self.news = NotificationNews(host)
        self._open = OpenNotifications(self.news.tell, self._close)
        self._bus: Bus | None = None
        self._service: BusService | None = None
        self._owner: str | None = None
        self._hearing: SignalHandle | None = None
        self._beginning = anyio.Lock()

    async def attach(self, bus: Bus) -> None:
        """Use a connection to the session bus.

        Raises:
            BusError: it is lost.
        """
        service = BusService(bus, NAME, self._server_changed)
        await service.start()
        self._bus, self._service = bus, service
        self._server_changed()

    def detach(self, lack: str) -> None:
        """There is no connection."""
        self._bus = self._service = self._owner = self._hearing = None
        self._open.vanished()
        self._settler.settle(self, lack)

    @command_of(NOTIFICATIONS["session-notify"])
    async def notify(self, asked: SessionNotify) -> NotifyResult:
        """Show one, and wait for what the user does where asked."""
        picture = await _picture(asked)
        replaces = self._replaced(asked)
        async with self._heard():
            with self._open.showing(replaces) as server:
                number = await self._shown(asked, picture)
                watched = self._open.opened(
                    number, server, tag=asked.tag, resident=asked.resident, waits=asked.wait_for_user
                )
            if watched is None:
                return NotifyResult(id=number, outcome="shown")
            try:
                return await self._result(number, watched)
            finally:
                self._open.forget(number, watched)

    @command_of(NOTIFICATIONS["session-notify-close"])
    async def close(self, asked: SessionNotifyClose) -> None:
        """Take one away."""
        self._check_open(asked.id)
        with explained("the notification server could not take it away"):
            await self._call("CloseNotification", "u", [asked.id])

    def _replaced(self, asked: SessionNotify) -> int:
        if asked.replaces is UNSET:
            return 0
        self._check_open(asked.replaces)
        return asked.replaces

    def _check_open(self, number: int) -> None:
        """Other programs' notifications are nothing to hosts."""
        if number not in self._open:
            raise CommandError(f"no notification {number} of a host's is open")

    @asynccontextmanager
    async def _heard(self) -> AsyncIterator[None]:
        """Hear what the server says, from before one is shown until the last one is gone."""
        try:
            async with self._beginning:
                if self._hearing is None and self._bus is not None:
                    with explained(FAILED):
                        self._hearing = await self._bus.add_signal_handler(
                            sender=NAME, interface=NAME, path=PATH, handler=self._on_signal
                        )
            yield
        finally:
            self._rest()

    def _rest(self) -> None:
        if self._hearing is not None and self._bus is not None and self._open.is_idle:
            self._bus.remove_signal_handler(self._hearing)
            self._hearing = None

    async def _shown(self, asked: SessionNotify, picture: Pixels | None) -> int:
        """Show one. Its number is waited for even when cancelled: without it nobody could take it away again."""
        showing = asyncio.ensure_future(self._show(asked, picture))
        try:
            return await asyncio.shield(showing)
        except asyncio.CancelledError:
            self._close(await showing)
            raise

    async def _show(self, asked: SessionNotify, picture: Pixels | None) -> int:
        with explained(FAILED):
            capabilities = await self._capabilities()
            notification_request.check(asked, capabilities)
            arguments = notification_request.request(asked, capabilities, picture)
            answer = await self._call("Notify", notification_request.SIGNATURE, arguments)
        number = answer[0] if answer else None
        if type(number) is not int:
            raise CommandError("the notification server gave no number; it breaks its specification")
        return number

    async def _capabilities(self) -> Collection[str]:
        answer = await self._call("GetCapabilities", "", ())
        return answer[0] if answer and isinstance(answer[0], list) else ()

    async def _result(self, number: int, watched: Watched) -> NotifyResult:
        match await watched.wait():
            case Chosen(action):
                return NotifyResult(id=number, outcome="action", action=action)
            case Replied(text):
                return NotifyResult(id=number, outcome="replied", reply=text)
            case Gone(reason):
                if reason == "server-gone":
                    raise CommandError("the notification server went away before the user acted")
                return NotifyResult(id=number, outcome=reason)

    def _close(self, number: int) -> None:
        if self._bus is not None:
            with suppress(BusError):
                self._bus.tell(NAME, PATH, NAME, "CloseNotification", "u", [number])

    async def _call(self, member: str, signature: str, body: Sequence[Any]) -> Sequence[Any]:
        if self._bus is None:
            raise CommandError("the session bus is gone")
        reply = await self._bus.call(NAME, PATH, NAME, member, signature, body)
        return reply.body

    def _server_changed(self) -> None:
        if self._service is None:
            return
        if self._owner is not None and self._owner != self._service.owner:
            self._open.vanished()
            self._rest()
        self._owner = self._service.owner
        self._settler.settle(self, self._service.lack)

    def _on_signal(self, signal: Signal) -> None:
        match (signal.member, signal.signature):
            case ("ActionInvoked", "us"):
                self._open.happened(signal.body[0], Chosen(signal.body[1][:MAX_LINE]))
            case ("NotificationReplied", "us"):
                self._open.happened(signal.body[0], Replied(signal.body[1][:MAX_REPLY]))
            case ("NotificationClosed", "uu"):
                self._open.happened(signal.body[0], Gone(_CLOSED.get(signal.body[1], "closed")))
        self._rest()


async def _picture(asked: SessionNotify) -> Pixels | None:
    if asked.image_b64 is UNSET:
        return None
    try:
        return await anyio.to_thread.run_sync(png_pixels, decoded(asked.image_b64))
    except NoPng as error:
        raise CommandError(str(error)) from error
