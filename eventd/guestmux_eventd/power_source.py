"""Shutdown, sleep and resume, announced by logind and held up until the host knows (systemd.io/INHIBITOR_LOCKS)."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from guestmux_eventd.login_manager import LOGIN_NAME, MANAGER_INTERFACE, LoginManager
from guestmux_protocol import events
from guestmux_protocol.registry import Data
from guestmux_transport.bus import Bus
from guestmux_transport.bus_signals import Signal
from guestmux_transport.errors import BusError
from guestmux_transport.names import DBUS_INTERFACE, DBUS_NAME

DELIVERY_PATIENCE = 3.0
"""Seconds that shutdown or sleep waits for hosts; logind itself waits 5 s at the most (InhibitDelayMaxSec)."""

Announce = Callable[[str, Data], Awaitable[None]]

logger = logging.getLogger(__name__)


class PowerSource:
    """Holds logind's delay inhibitors and announces what they delay.

    Args:
        bus: the system bus.
        announce: emits an event and returns when the hosts have it, or DELIVERY_PATIENCE passed.
    """

    def __init__(self, bus: Bus, announce: Announce) -> None:
        self._bus = bus
        self._logins = LoginManager(bus)
        self._announce = announce
        self._held: dict[str, int] = {}
        # logind may call a sleep off before its announcement ended: one thing after the other, for each kind.
        self._turns = {what: anyio.Lock() for what in ("shutdown", "sleep")}

    def __repr__(self) -> str:
        return f"<PowerSource holding {' '.join(self._held) or 'nothing'}>"

    async def start(self, tasks: TaskGroup) -> None:
        """Follow logind's announcements in `tasks`, and take the inhibitors."""
        await self.follow(tasks)
        await self.hold()

    async def hold(self) -> None:
        """Take the inhibitors, from a logind that may not answer."""
        for what in self._turns:
            await self._renew(what)

    async def follow(self, tasks: TaskGroup) -> None:
        """Follow logind's announcements in `tasks`; what it announces before is not known."""

        def prepare_for_shutdown(signal: Signal) -> None:
            tasks.start_soon(self._shutdown, signal.body[0])

        def prepare_for_sleep(signal: Signal) -> None:
            tasks.start_soon(self._sleep, signal.body[0])

        def owner_changed(signal: Signal) -> None:
            name, _old, new = signal.body
            if name == LOGIN_NAME and new:
                for what in self._turns:
                    tasks.start_soon(self._renew, what)

        for member, handler in (
            ("PrepareForShutdown", prepare_for_shutdown),
            ("PrepareForSleep", prepare_for_sleep),
        ):
            await self._bus.add_signal_handler(
                sender=LOGIN_NAME, interface=MANAGER_INTERFACE, member=member, handler=handler
            )
        await self._bus.add_signal_handler(
            sender=DBUS_NAME, interface=DBUS_INTERFACE, member="NameOwnerChanged", handler=owner_changed
        )

    def close(self) -> None:
        """Let go of everything."""
        for what in tuple(self._held):
            self._let_go(what)

    async def _shutdown(self, begins: bool) -> None:
        if begins:
            async with self._announcing("POWER_SHUTDOWN", events.PowerShutdown(), "shutdown"):
                self._let_go("shutdown")
        else:
            async with self._turns["shutdown"]:
                await self._hold("shutdown")

    async def _sleep(self, begins: bool) -> None:
        if begins:
            async with self._announcing("POWER_SLEEP", events.PowerSleep(), "sleep"):
                self._let_go("sleep")
        else:
            async with self._announcing("POWER_RESUME", events.PowerResume(), "sleep"):
                await self._hold("sleep")

    @asynccontextmanager
    async def _announcing(self, name: str, data: Data, what: str) -> AsyncIterator[None]:
        """Emit an event now, whatever hosts have still to hear; its turn comes when they have it, or were too slow."""
        told = anyio.Event()

        async def announce() -> None:
            await self._announce(name, data)
            told.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(announce)
            async with self._turns[what]:
                await told.wait()
                yield

    async def _renew(self, what: str) -> None:
        """Take an inhibitor of the logind that runs now; one of its predecessor may hold nothing."""
        async with self._turns[what]:
            self._let_go(what)
            await self._hold(what)

    async def _hold(self, what: str) -> None:
        if what in self._held:
            return
        try:
            self._held[what] = await self._logins.delay(what)
        except BusError as error:
            logger.warning("no delay inhibitor: the host may learn of a %s too late: %s", what, error)

    def _let_go(self, what: str) -> None:
        if what in self._held:
            os.close(self._held.pop(what))
