"""A stand-in for a desktop's notification server, and for the user in front of it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.bus_exports import IncomingCall, Interface, Results
from guestmux_transport.errors import MethodError
from guestmux_transport.names import DBUS_INTERFACE, DBUS_NAME, DBUS_PATH
from guestmux_transport.values import to_json

NAME = "org.freedesktop.Notifications"
PATH = "/org/freedesktop/Notifications"

ASK_SECONDS = 0.02
"""Seconds between two questions."""


@dataclass
class Shown:
    """A notification as the server got it."""

    number: int
    replaces: int
    icon: str
    summary: str
    body: str
    actions: list[str]
    hints: dict[str, Any]
    expire: int


class StandinNotifications:
    """The server.

    Attributes:
        shown: what was asked for, in order.
        closed: the numbers that were taken away by a call.
        eager: what the user does before Notify has answered.
        fail: the error that Notify gives.
    """

    def __init__(self, bus: Bus, capabilities: Sequence[str]) -> None:
        self._bus = bus
        self._capabilities = capabilities
        self.shown: list[Shown] = []
        self.closed: list[int] = []
        self.eager: str | None = None
        self.fail: MethodError | None = None
        self._changed = anyio.Event()

    def interface(self) -> Interface:
        return Interface(
            NAME,
            methods={
                "GetCapabilities": ("", "as", lambda _call: (list(self._capabilities),)),
                "Notify": ("susssasa{sv}i", "u", self._notify),
                "CloseNotification": ("u", "", self._close),
            },
        )

    async def next(self, count: int = 1) -> Shown:
        """Wait until so many were shown; gives the last of them."""
        while len(self.shown) < count:
            await self._changed.wait()
        return self.shown[count - 1]

    async def taken_away(self, number: int) -> None:
        """Wait until a notification was closed by a call."""
        while number not in self.closed:
            await self._changed.wait()

    def choose(self, number: int, key: str) -> None:
        """The user presses a button; the notification goes away, as every server does it."""
        self.press(number, key)
        self.end(number, 2)

    def reply(self, number: int, text: str) -> None:
        """The user replies; the notification goes away."""
        self._bus.emit(PATH, NAME, "NotificationReplied", "us", [number, text])
        self.end(number, 2)

    def press(self, number: int, key: str) -> None:
        """The user presses a button of one that stays."""
        self._bus.emit(PATH, NAME, "ActionInvoked", "us", [number, key])

    def end(self, number: int, reason: int) -> None:
        """It goes away: 1 expired, 2 dismissed, 3 by a call, 4 who knows."""
        self._bus.emit(PATH, NAME, "NotificationClosed", "uu", [number, reason])

    async def is_heard(self) -> bool:
        """Whether somebody asks the bus for the signals."""
        reply = await self._bus.call(
            DBUS_NAME, DBUS_PATH, f"{DBUS_INTERFACE}.Debug.Stats", "GetAllMatchRules"
        )
        rules = [rule for ours in reply.body[0].values() for rule in ours]
        return any(f"interface='{NAME}'" in rule for rule in rules)

    async def until_unheard(self) -> None:
        """Wait until nobody does; nothing tells."""
        while True:
            if not await self.is_heard():
                return
            await anyio.sleep(ASK_SECONDS)

    def _notify(self, call: IncomingCall) -> Results:
        if self.fail is not None:
            raise self.fail
        _app, replaces, icon, summary, body, actions, hints, expire = call.body
        number = replaces or len(self.shown) + 1
        plain = {name: to_json(hint) for name, hint in hints.items()}
        self.shown.append(Shown(number, replaces, icon, summary, body, actions, plain, expire))
        if self.eager is not None:
            self.choose(number, self.eager)
        self._wake()
        return (number,)

    def _close(self, call: IncomingCall) -> Results:
        self.closed.append(call.body[0])
        self.end(call.body[0], 3)
        self._wake()
        return ()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


@asynccontextmanager
async def standin_notifications(
    address: str, capabilities: Sequence[str] = ("actions", "body", "body-markup")
) -> AsyncIterator[StandinNotifications]:
    """Run a notification server on a bus for as long as the block lasts."""
    async with connect_bus(address) as bus:
        server = StandinNotifications(bus, capabilities)
        bus.export(PATH, server.interface())
        await bus.request_name(NAME)
        yield server
