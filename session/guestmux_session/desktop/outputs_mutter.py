"""The displays of GNOME on Wayland: Mutter tells them on the session bus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
from msgspec import UNSET, structs

from guestmux_protocol.display_commands import (
    MAX_DISPLAYS,
    MAX_MODES,
    Display,
    DisplayMode,
    Displays,
    DisplaySetting,
)
from guestmux_session.desktop.errors import DisplayLost, DisplayUnavailable
from guestmux_session.desktop.mutter_state import (
    CONFIGURATION,
    MIRRORED,
    STATE,
    Monitor,
    MonitorMode,
    MutterState,
    Shown,
    configuration,
    read_state,
    wanted_of,
)
from guestmux_session.desktop.output_settings import QUARTERS, by_size
from guestmux_session.desktop.user_manager import UserManager
from guestmux_session.errors import CommandError
from guestmux_transport.bus import Bus
from guestmux_transport.bus_signals import Signal, SignalHandle
from guestmux_transport.errors import BusError, CallError
from guestmux_transport.names import DBUS_INTERFACE, DBUS_NAME, DBUS_PATH

NAME = "org.gnome.Mutter.DisplayConfig"
PATH = "/org/gnome/Mutter/DisplayConfig"

CALL_TIMEOUT = 10.0
"""Seconds: a change of modes takes a while on real hardware."""

ATTEMPTS = 2
"""How often a change is asked for: one that was overtaken by another is asked once more."""

VERIFY, TEMPORARY = 0, 1
"""Ways to apply; what is kept for the next login Mutter has the user confirm."""

_STALE = "org.freedesktop.DBus.Error.AccessDenied"


class Overtaken(Exception):
    """The displays have changed since they were read."""


class MutterOutputs:
    """Mutter's displays.

    Args:
        manager: has the session bus.
    """

    name = "mutter"

    def __init__(self, manager: UserManager) -> None:
        self._manager = manager

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

    async def displays(self) -> Displays:
        """Ask for everything."""
        state = await self._state()
        shown = [_display(state, monitor) for monitor in state.monitors.values()]
        return Displays(displays=shown[:MAX_DISPLAYS], truncated=len(shown) > MAX_DISPLAYS)

    async def set(self, settings: Sequence[DisplaySetting], *, test: bool) -> None:
        """Have Mutter verify it, then do it."""
        for _ in range(ATTEMPTS):
            try:
                return await self._set(settings, test=test)
            except Overtaken:
                continue
        raise CommandError("the displays are just changing; ask again")

    async def follow(self, changed: Callable[[], None]) -> None:
        """Hear of changes."""
        over = anyio.Event()

        def on_owner(signal: Signal) -> None:
            if signal.signature == "sss" and signal.body[0] == NAME:
                over.set()

        async with (
            self._hearing((NAME, NAME, "MonitorsChanged", lambda _: changed())),
            self._hearing((DBUS_NAME, DBUS_INTERFACE, "NameOwnerChanged", on_owner)),
            anyio.create_task_group() as group,
        ):

            async def until_lost() -> None:
                await self._manager.wait_lost()
                over.set()

            group.start_soon(until_lost)
            # What there was may have been read before this was heard.
            changed()
            await over.wait()
            group.cancel_scope.cancel()
        raise DisplayLost("GNOME Shell went away")

    @property
    def _bus(self) -> Bus:
        if self._manager.bus is None:
            raise DisplayLost(self._manager.lost_reason or "no session bus")
        return self._manager.bus

    async def _state(self) -> MutterState:
        try:
            reply = await self._bus.call(NAME, PATH, NAME, "GetCurrentState", timeout=CALL_TIMEOUT)
        except CallError as error:
            raise DisplayUnavailable(f"{NAME}: {error.text or error.name}") from error
        except BusError as error:
            raise DisplayLost(f"{NAME}: {error}") from error
        if reply.signature != STATE:
            raise DisplayUnavailable(f"{NAME} does not answer as it should")
        return read_state(reply.body)

    async def _set(self, settings: Sequence[DisplaySetting], *, test: bool) -> None:
        state = await self._state()
        places = configuration(wanted_of(state, settings))
        await self._apply(state.serial, VERIFY, places)
        if not test:
            await self._apply(state.serial, TEMPORARY, places)

    async def _apply(self, serial: int, method: int, places: list[Any]) -> None:
        body = [serial, method, places, {}]
        try:
            await self._bus.call(
                NAME, PATH, NAME, "ApplyMonitorsConfig", CONFIGURATION, body, timeout=CALL_TIMEOUT
            )
        except CallError as error:
            if error.name == _STALE and (await self._state()).serial != serial:
                raise Overtaken from error
            raise CommandError(f"GNOME does not set its displays so: {error.text or error.name}") from error
        except BusError as error:
            raise DisplayLost(f"{NAME}: {error}") from error

    @asynccontextmanager
    async def _hearing(self, what: tuple[str, str, str, Callable[[Signal], None]]) -> AsyncIterator[None]:
        bus, (sender, interface, member, handler) = self._bus, what
        try:
            handle: SignalHandle = await bus.add_signal_handler(
                sender=sender, interface=interface, member=member, handler=handler
            )
        except BusError as error:
            raise DisplayLost(f"{NAME}: {error}") from error
        try:
            yield
        finally:
            bus.remove_signal_handler(handle)


def _display(state: MutterState, monitor: Monitor) -> Display:
    modes = by_size(map(_mode, monitor.modes))
    off = Display(
        name=monitor.name,
        connected=True,
        enabled=False,
        primary=False,
        width_mm=monitor.size_mm[0] or UNSET,
        height_mm=monitor.size_mm[1] or UNSET,
        make=monitor.make or UNSET,
        model=monitor.model or UNSET,
        modes=modes[:MAX_MODES],
        modes_truncated=len(modes) > MAX_MODES,
    )
    shown = state.shown.get(monitor.name)
    return off if shown is None else _switched_on(off, state, shown)


def _switched_on(display: Display, state: MutterState, shown: Shown) -> Display:
    width, height = state.size(shown)
    return structs.replace(
        display,
        enabled=True,
        x=shown.x,
        y=shown.y,
        width=width,
        height=height,
        mode=_mode(shown.mode),
        scale=shown.scale,
        rotation=QUARTERS[shown.transform % 4],
        mirrored=shown.transform >= MIRRORED,
        primary=shown.primary,
    )


def _mode(mode: MonitorMode) -> DisplayMode:
    refresh = round(mode.refresh, 2)
    return DisplayMode(width=mode.width, height=mode.height, refresh=refresh, preferred=mode.preferred)
