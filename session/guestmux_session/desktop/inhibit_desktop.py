"""Keeps the desktop from locking and blanking the screen by itself, by its service on the session bus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import anyio

from guestmux_session.desktop.inhibit_means import APPLICATION, Tell
from guestmux_session.desktop.user_manager import UserManager
from guestmux_session.pulse import Pulse
from guestmux_transport.bus import Bus
from guestmux_transport.bus_signals import Signal
from guestmux_transport.errors import BusError, CallError
from guestmux_transport.names import DBUS_INTERFACE, DBUS_NAME, DBUS_PATH

CALL_TIMEOUT = 5.0
"""Seconds: such a service answers from memory."""

_IDLE = 8
"""The flag of org.gnome.SessionManager.Inhibit for marking the session idle."""


@dataclass(frozen=True)
class _Service:
    """A kind of service that keeps sessions from going idle for whoever asks, until he leaves the bus.

    Attributes:
        told_as: what hosts are told.
        name: on the bus, and of the interface.
        release: the method that ends it.
        request: Inhibit's signature, and its arguments by the reason.
    """

    told_as: str
    name: str
    path: str
    release: str
    request: tuple[str, Callable[[str], list[Any]]]


SERVICES = (
    _Service(
        "gnome-session",
        "org.gnome.SessionManager",
        "/org/gnome/SessionManager",
        "Uninhibit",
        ("susu", lambda reason: [APPLICATION, 0, reason, _IDLE]),
    ),
    _Service(
        "screensaver",
        "org.freedesktop.ScreenSaver",
        "/org/freedesktop/ScreenSaver",
        "UnInhibit",
        ("ss", lambda reason: [APPLICATION, reason]),
    ),
)
"""The best first. GNOME, MATE and Cinnamon have the first one; GNOME also the second, which only hands it on."""


class DesktopMeans:
    """The first of the services that runs. None is started for it: who has no screen saver needs none kept quiet.

    Args:
        manager: has the session bus.
    """

    name = "desktop"

    def __init__(self, manager: UserManager) -> None:
        self._manager = manager

    async def hold(self, reason: str, tell: Tell) -> None:
        """Ask it, and the one that takes its place."""
        bus = self._manager.bus
        if bus is not None:
            async with anyio.create_task_group() as group:
                group.start_soon(self._hold_on, bus, reason, tell)
                await self._manager.wait_lost()
                group.cancel_scope.cancel()
        tell("", self._manager.lost_reason or "no session bus")

    async def _hold_on(self, bus: Bus, reason: str, tell: Tell) -> None:
        try:
            async with _owners(bus) as owners:
                while True:
                    seen = owners.changed.count
                    async with _held(bus, reason, tell, owners):
                        await owners.changed.wait_beyond(seen)
        except BusError as error:
            tell("", f"the session bus: {error}")


class _Owners:
    """How often each service came or went."""

    def __init__(self) -> None:
        self.changed = Pulse()
        self.changes = {service.name: 0 for service in SERVICES}

    def on_signal(self, signal: Signal) -> None:
        if signal.signature == "sss" and signal.body[0] in self.changes:
            self.changes[signal.body[0]] += 1
            self.changed.beat()


@asynccontextmanager
async def _owners(bus: Bus) -> AsyncIterator[_Owners]:
    owners = _Owners()
    handle = await bus.add_signal_handler(
        sender=DBUS_NAME,
        interface=DBUS_INTERFACE,
        member="NameOwnerChanged",
        path=DBUS_PATH,
        handler=owners.on_signal,
    )
    try:
        yield owners
    finally:
        bus.remove_signal_handler(handle)


@asynccontextmanager
async def _held(bus: Bus, reason: str, tell: Tell, owners: _Owners) -> AsyncIterator[None]:
    """Held by the first service that runs, for as long as a block lasts; by none where none does.

    Raises:
        BusError: the bus is lost.
    """
    lack = "neither org.gnome.SessionManager nor org.freedesktop.ScreenSaver is on the session bus"
    for service in SERVICES:
        seen = owners.changes[service.name]
        try:
            cookie = await _inhibit(bus, service, reason)
        except CallError as error:
            lack = f"{service.name}: {error.text or error.name}"
            continue
        if cookie is None:
            continue
        tell(service.told_as, "")
        try:
            yield
        finally:
            # Another process at that name has other cookies.
            if owners.changes[service.name] == seen:
                with suppress(BusError):
                    bus.tell(service.name, service.path, service.name, service.release, "u", [cookie])
        return
    tell("", lack)
    yield


async def _inhibit(bus: Bus, service: _Service, reason: str) -> int | None:
    """Its cookie; None where it does not run."""
    running = await bus.call(
        *(DBUS_NAME, DBUS_PATH, DBUS_INTERFACE, "NameHasOwner"), "s", [service.name], timeout=CALL_TIMEOUT
    )
    if not running.body[0]:
        return None
    signature, arguments = service.request
    reply = await bus.call(
        *(service.name, service.path, service.name, "Inhibit", signature, arguments(reason)),
        timeout=CALL_TIMEOUT,
    )
    cookie = reply.body[0] if reply.signature == "u" else None
    if cookie is None:
        raise CallError("org.freedesktop.DBus.Error.InvalidArgs", "it gave no cookie")
    return int(cookie)
