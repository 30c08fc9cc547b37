"""session-notify, through the desktop's notification server (Desktop Notifications Specification 1.2)."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from msgspec import UNSET

from guestmux_protocol.notification_commands import NOTIFICATIONS, NotifyResult, SessionNotify
from guestmux_session.bus_service import BusService
from guestmux_session.declarations import command_of
from guestmux_session.errors import CommandError
from guestmux_session.explained import explained
from guestmux_session.open_notifications import Ending, OpenNotifications, Outcome, Watched
from guestmux_session.provider import Provider, ProviderHost
from guestmux_transport.bus import Bus
from guestmux_transport.bus_signals import Signal
from guestmux_transport.errors import BusError
from guestmux_transport.values import Variant

NAME = "org.freedesktop.Notifications"
PATH = "/org/freedesktop/Notifications"

APPLICATION = "guestmux"
"""Shown as the sender: the user sees that it comes from outside of the session."""

FAILED = "the notification server could not show it"

_URGENCY = {"low": 0, "normal": 1, "critical": 2}
_SERVER_DECIDES = -1
_CLOSED: dict[int, Outcome] = {1: "expired", 2: "dismissed", 3: "closed"}


class Settler(Protocol):
    """Takes what a provider lacks, empty for nothing."""

    def settle(self, provider: Provider, lack: str) -> None:
        """Offer the provider's commands, or leave them out."""


class NotifyHost(ProviderHost, Settler, Protocol):
    """What this provider needs of its agent."""


class NotifyFreedesktop(Provider):
    """Shows notifications. It is offered while the server runs, or can be started by the bus."""

    name = "notify-freedesktop"

    def __init__(self, host: NotifyHost) -> None:
        super().__init__(host)
        self._settler: Settler = host
        self._open = OpenNotifications()
        self._bus: Bus | None = None
        self._service: BusService | None = None
        self._owner: str | None = None

    async def attach(self, bus: Bus) -> None:
        """Use a connection to the session bus.

        Raises:
            BusError: it is lost.
        """
        service = BusService(bus, NAME, self._server_changed)
        await bus.add_signal_handler(sender=NAME, interface=NAME, path=PATH, handler=self._on_signal)
        await service.start()
        self._bus, self._service = bus, service
        self._server_changed()

    def detach(self, lack: str) -> None:
        """There is no connection."""
        self._bus = self._service = self._owner = None
        self._open.vanished()
        self._settler.settle(self, lack)

    @command_of(NOTIFICATIONS["session-notify"])
    async def notify(self, asked: SessionNotify) -> NotifyResult:
        """Show one, and wait for what the user does where asked."""
        with self._open.showing() as server:
            number = await self._shown(asked)
            if not asked.wait_for_user:
                return NotifyResult(id=number, outcome="shown")
            watched = self._open.watch(number, server)
        try:
            ending = await self._ending(number, watched)
        finally:
            self._open.forget(number, watched)
        return NotifyResult(id=number, outcome=ending.outcome, action=ending.action or UNSET)

    async def _shown(self, asked: SessionNotify) -> int:
        """Show one. Its number is waited for even when cancelled: without it nobody could take it away again."""
        showing = asyncio.ensure_future(self._show(asked))
        try:
            return await asyncio.shield(showing)
        except asyncio.CancelledError:
            self._close(await showing)
            raise

    async def _show(self, asked: SessionNotify) -> int:
        with explained(FAILED):
            (capabilities,) = await self._call("GetCapabilities", "", ())
            if asked.actions and "actions" not in capabilities:
                raise CommandError(
                    "the notification server of this session shows no buttons; ask without actions"
                )
            body = html.escape(asked.body, quote=False) if "body-markup" in capabilities else asked.body
            answer = await self._call("Notify", "susssasa{sv}i", _arguments(asked, body))
        number = answer[0] if answer else None
        if type(number) is not int:
            raise CommandError("the notification server gave no number; it breaks its specification")
        return number

    async def _ending(self, number: int, watched: Watched) -> Ending:
        try:
            ending = await watched.wait()
        finally:
            if watched.ending is None and not watched.vanished:
                self._close(number)
        if ending is None:
            raise CommandError("the notification server went away before the user acted")
        return ending

    def _close(self, number: int) -> None:
        """Take a notification away that nobody waits for any more."""
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
        self._owner = self._service.owner
        self._settler.settle(self, self._service.lack)

    def _on_signal(self, signal: Signal) -> None:
        if signal.member == "ActionInvoked" and signal.signature == "us":
            self._open.ended(signal.body[0], Ending("action", signal.body[1]))
        elif signal.member == "NotificationClosed" and signal.signature == "uu":
            self._open.ended(signal.body[0], Ending(_CLOSED.get(signal.body[1], "closed")))


def _arguments(asked: SessionNotify, body: str) -> tuple[Any, ...]:
    actions = [text for action in asked.actions for text in (action.key, action.label)]
    hints = {"urgency": Variant("y", _URGENCY[asked.urgency])}
    expire = _SERVER_DECIDES if asked.expire is UNSET else _milliseconds(asked.expire)
    return (APPLICATION, 0, asked.icon, asked.summary, body, actions, hints, expire)


def _milliseconds(seconds: float) -> int:
    """0 means never, so that the shortest time is 1."""
    return max(1, round(seconds * 1000)) if seconds else 0
