"""Whether somebody sits in front of the session: locks and idleness, put together for the stock agent."""

from __future__ import annotations

from typing import Protocol

import anyio

from guestmux_session.desktop.claimant import ClaimHost
from guestmux_session.desktop.displays import Displays
from guestmux_session.desktop.idle import Idle
from guestmux_session.desktop.idle_sources import IdleSources
from guestmux_session.desktop.idle_watch import IdleWatch
from guestmux_session.desktop.lock_watch import LockWatch
from guestmux_session.desktop.screensavers import ScreenSavers
from guestmux_session.desktop.user_manager import UserManager
from guestmux_session.provider import ProviderHost


class PresenceHost(ProviderHost, ClaimHost, Protocol):
    """What it needs of its agent."""


class Presence:
    """Both.

    Args:
        host: the agent.
        displays: the display servers.
        manager: has the session bus.
        idle_seconds: without input that make the session idle.

    Attributes:
        savers: the screensavers; to be told of the session bus.
        idle: the command about idleness.
    """

    def __init__(
        self, host: PresenceHost, displays: Displays, manager: UserManager, idle_seconds: float
    ) -> None:
        self.savers = ScreenSavers(displays)
        sources = IdleSources(displays, manager)
        self._lock_watch = LockWatch(host, self.savers)
        self._idle_watch = IdleWatch(host, sources, idle_seconds)
        self.idle = Idle(host, sources, self._idle_watch, idle_seconds)

    async def run(self) -> None:
        """Watch what hosts want to know of, for as long as the agent is registered."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._lock_watch.run)
            group.start_soon(self._idle_watch.run)

    async def keep(self) -> None:
        """Follow the screensavers whenever somebody wants to know of them, for as long as the agent runs."""
        await self.savers.run()

    async def states(self) -> dict[str, str]:
        """Who says whether the session is locked, and idle."""
        return {
            "lock": ", ".join(["logind", *await self.savers.names()]),
            self.idle.name: await self.idle.state(),
        }
