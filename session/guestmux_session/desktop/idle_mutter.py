"""Idleness on GNOME, whichever display server it has: Mutter's own monitor, on the session bus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio

from guestmux_session.desktop.errors import DisplayLost, DisplayUnavailable
from guestmux_session.desktop.user_manager import UserManager
from guestmux_session.pulse import Pulse
from guestmux_transport.bus import Bus
from guestmux_transport.bus_signals import Signal, SignalHandle
from guestmux_transport.errors import BusError, CallError
from guestmux_transport.names import DBUS_INTERFACE, DBUS_NAME, DBUS_PATH

NAME = "org.gnome.Mutter.IdleMonitor"
PATH = "/org/gnome/Mutter/IdleMonitor/Core"
"""All input devices together."""

MAX_SIGNALS = 20
"""Signals within a second after which it is given up for a while: a user comes and goes once in a second, at most."""

CALL_TIMEOUT = 5.0
"""Seconds: it answers from memory."""


class MutterIdle:
    """Mutter's idle monitor.

    Args:
        manager: has the session bus.
    """

    name = "mutter"

    def __init__(self, manager: UserManager) -> None:
        self._manager = manager

    @property
    def _bus(self) -> Bus:
        if self._manager.bus is None:
            raise DisplayLost(self._manager.lost_reason or "no session bus")
        return self._manager.bus

    async def is_offered(self) -> bool:
        """Whether it runs; it is not started for this."""
        if self._manager.bus is None:
            return False
        try:
            reply = await self._manager.bus.call(
                DBUS_NAME, DBUS_PATH, DBUS_INTERFACE, "NameHasOwner", "s", [NAME]
            )
        except BusError:
            return False
        return reply.body[0] is True

    async def follow(self, seconds: float, tell: Callable[[bool], None]) -> None:
        """Tell when its watches fire."""
        milliseconds = int(seconds * 1000)
        async with self._hearing() as fired:
            idle_watch, active_watch = await self._add(fired, "AddIdleWatch", "t", [milliseconds]), 0
            away = await self._idle_milliseconds() >= milliseconds
            while True:
                tell(away)
                if away:
                    active_watch = await self._add(fired, "AddUserActiveWatch")
                    # Somebody may have come back before it was there.
                    away = await self._idle_milliseconds() >= milliseconds
                    if not away:
                        self._remove(active_watch)
                        fired.forget(active_watch)
                        continue
                await fired.wait_for(active_watch if away else idle_watch)
                if away:
                    # It fires once, and is none any more.
                    fired.forget(active_watch)
                away = not away

    async def idle_for(self) -> float | None:
        """What it counts."""
        return await self._idle_milliseconds() / 1000

    async def _idle_milliseconds(self) -> int:
        return await self._ask("GetIdletime")

    async def _add(self, fired: _Fired, member: str, signature: str = "", body: Sequence[Any] = ()) -> int:
        watch = await self._ask(member, signature, body)
        fired.watches.add(watch)
        return watch

    def _remove(self, watch: int, bus: Bus | None = None) -> None:
        (bus or self._bus).tell(NAME, PATH, NAME, "RemoveWatch", "u", [watch])

    async def _ask(self, member: str, signature: str = "", body: Sequence[Any] = ()) -> int:
        try:
            reply = await self._bus.call(NAME, PATH, NAME, member, signature, body, timeout=CALL_TIMEOUT)
        except CallError as error:
            raise DisplayUnavailable(f"{NAME}: {error.text or error.name}") from error
        except BusError as error:
            raise DisplayLost(f"{NAME}: {error}") from error
        untrusted_number = reply.body[0] if reply.signature in ("t", "u") else None
        if not isinstance(untrusted_number, int):
            raise DisplayUnavailable(f"{NAME} does not answer {member} with a number")
        return untrusted_number

    @asynccontextmanager
    async def _hearing(self) -> AsyncIterator[_Fired]:
        bus, fired = self._bus, _Fired()
        handles: list[SignalHandle] = []
        try:
            for sender, interface, member, handler in (
                (DBUS_NAME, DBUS_INTERFACE, "NameOwnerChanged", fired.on_owner),
                (NAME, NAME, "WatchFired", fired.on_watch),
            ):
                handle = await bus.add_signal_handler(
                    sender=sender, interface=interface, member=member, handler=handler
                )
                handles.append(handle)
            yield fired
        except BusError as error:
            raise DisplayLost(f"{NAME}: {error}") from error
        finally:
            for handle in handles:
                bus.remove_signal_handler(handle)
            for watch in fired.watches:
                with suppress(BusError):
                    self._remove(watch, bus)


class _Fired:
    """Which of the watches have fired.

    Attributes:
        watches: those that were added, and are still to fire.
    """

    def __init__(self) -> None:
        self.watches: set[int] = set()
        self._fired: set[int] = set()
        self._changed = Pulse()
        self._second = 0.0
        self._since = 0
        self._over = ""

    async def wait_for(self, watch: int) -> None:
        """Wait until one fires. Raises DisplayLost: it went away, or tells nonsense."""
        while watch not in self._fired:
            if self._over:
                raise DisplayLost(self._over)
            await self._changed.wait()
        self._fired.discard(watch)

    def forget(self, watch: int) -> None:
        """It is no watch of ours any more: a user comes and goes for weeks."""
        self.watches.discard(watch)
        self._fired.discard(watch)

    def on_watch(self, signal: Signal) -> None:
        """It says that one has."""
        now = anyio.current_time()
        if now - self._second > 1.0:
            self._second, self._since = now, 0
        self._since += 1
        if self._since > MAX_SIGNALS:
            self._end(f"{NAME} tells too much")
        elif signal.signature == "u" and signal.body[0] in self.watches:
            self._fired.add(signal.body[0])
            self._changed.beat()

    def on_owner(self, signal: Signal) -> None:
        """A name has another owner."""
        if signal.signature == "sss" and signal.body[0] == NAME:
            self._end(f"{NAME} went away")

    def _end(self, reason: str) -> None:
        self._over = self._over or reason
        self._changed.beat()
