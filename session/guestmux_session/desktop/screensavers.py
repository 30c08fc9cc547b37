"""The screensavers of a session, services and xscreensaver, followed while somebody wants to know of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import anyio

from guestmux_session.desktop.displays import Displays
from guestmux_session.desktop.errors import DisplayError
from guestmux_session.desktop.screensaver import ANSWER_SECONDS, KINDS, Kind, ScreenSaver, ask_active
from guestmux_session.desktop.xscreensaver import XScreenSaver
from guestmux_session.pulse import Pulse
from guestmux_transport.bus import Bus
from guestmux_transport.errors import BusError
from guestmux_transport.names import DBUS_INTERFACE, DBUS_NAME, DBUS_PATH

SETTLE_SECONDS = ANSWER_SECONDS + 1.0
"""Seconds until all of them have said what they say, or will not."""


class Saver(Protocol):
    """One of them.

    Attributes:
        active: what it says; None: it does not run, or does not say.
    """

    active: bool | None

    @property
    def name(self) -> str:
        """As hosts are told it."""

    async def lock(self) -> None:
        """Have it lock. Raises BusError, DisplayError."""

    async def unlock(self) -> None:
        """Have it go away. Raises BusError, DisplayError."""


class ScreenSavers:
    """All of them. The agent tells it of the session bus.

    Args:
        displays: the display servers.

    Attributes:
        changed: beaten when one says something else.
    """

    def __init__(self, displays: Displays) -> None:
        self.changed = Pulse()
        self._x = XScreenSaver(displays, self.changed.beat)
        self._bus: Bus | None = None
        self._users = 0
        self._wanted = Pulse()
        self._savers: list[ScreenSaver] = []
        self._asked: set[str] = set()

    def __repr__(self) -> str:
        return f"<ScreenSavers {self.values} {self._users} users>"

    @property
    def values(self) -> dict[str, bool]:
        """What those say that say anything: whether it is active."""
        return {saver.name: saver.active for saver in self.running if saver.active is not None}

    @property
    def running(self) -> list[Saver]:
        """Those that can be asked: they have said something."""
        savers: list[Saver] = [*self._savers, self._x]
        return [saver for saver in savers if saver.active is not None]

    async def attach(self, bus: Bus) -> None:
        """Use a connection to the session bus."""
        self._bus = bus
        self._wanted.beat()

    def detach(self, lack: str) -> None:
        """There is no connection."""
        del lack
        self._bus = None
        self._wanted.beat()
        self.changed.beat()

    async def run(self) -> None:
        """Follow them whenever somebody wants to know; for ever."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._follow_x)
            while True:
                if self._users and self._bus is not None:
                    await self._follow_all(self._bus)
                else:
                    await self._wanted.wait()

    @asynccontextmanager
    async def followed(self, settle: float = SETTLE_SECONDS) -> AsyncIterator[ScreenSavers]:
        """Have them followed for as long as a block lasts.

        Args:
            settle: seconds that they have to say how it is, before the block begins.
        """
        self._users += 1
        self._wanted.beat()
        try:
            with anyio.move_on_after(settle):
                while not self._all_known:
                    await self.changed.wait()
            yield self
        finally:
            self._users -= 1
            self._wanted.beat()

    @property
    def _all_known(self) -> bool:
        return self._x.known and (self._bus is None or len(self._asked) == len(KINDS))

    async def names(self) -> list[str]:
        """Those that say whether they are active."""
        return list(await self.ask())

    async def ask(self) -> dict[str, bool]:
        """What those say that run, this once; a fraction of what following them takes."""
        said = dict[str, bool]()
        async with anyio.create_task_group() as group:
            group.start_soon(self._ask_services, said)
            group.start_soon(self._ask_x, said)
        return dict(sorted(said.items()))

    async def _ask_services(self, said: dict[str, bool]) -> None:
        bus = self._bus
        if bus is None:
            return

        async def ask(kind: Kind) -> None:
            with suppress(BusError):
                if (active := await ask_active(bus, kind)) is not None:
                    said[kind.name] = active

        with suppress(BusError):
            reply = await bus.call(DBUS_NAME, DBUS_PATH, DBUS_INTERFACE, "ListNames")
            async with anyio.create_task_group() as group:
                for kind in KINDS:
                    if kind.name in reply.body[0]:
                        group.start_soon(ask, kind)

    async def _ask_x(self, said: dict[str, bool]) -> None:
        with anyio.move_on_after(ANSWER_SECONDS), suppress(DisplayError):
            if (active := await self._x.ask()) is not None:
                said[self._x.name] = active

    async def _follow_x(self) -> None:
        while True:
            await self._until(lambda: self._users > 0)
            async with anyio.create_task_group() as group:
                group.start_soon(self._x.follow)
                await self._until(lambda: not self._users)
                group.cancel_scope.cancel()
            self._x.forget()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._wanted.wait()

    async def _follow_all(self, bus: Bus) -> None:
        """Follow them until nobody wants to know any more, or there is another session bus."""
        self._savers = [ScreenSaver(bus, kind, self.changed.beat) for kind in KINDS]
        async with anyio.create_task_group() as group:
            for saver in self._savers:
                group.start_soon(self._follow, saver)
            while self._users and self._bus is bus:
                await self._wanted.wait()
            # Before anything is awaited: who wants to know from now on has to wait for the next.
            self._savers = []
            self._asked.clear()
            group.cancel_scope.cancel()
        self.changed.beat()

    async def _follow(self, saver: ScreenSaver) -> None:
        def asked() -> None:
            self._asked.add(saver.kind.name)
            self.changed.beat()

        try:
            await saver.follow(asked)
        except BusError:
            # What it said last is not known to hold any more.
            saver.active = None
            asked()
