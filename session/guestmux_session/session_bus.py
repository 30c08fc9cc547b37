"""The user's session bus, for the providers that need it; it may come later than the agent, and go."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

import anyio

from guestmux_session.backoff import Backoff
from guestmux_session.keep_connected import keep_connected
from guestmux_session.news import News
from guestmux_session.pulse import Pulse
from guestmux_transport.bus import Bus

SETTLE_SECONDS = 5.0
"""Seconds that the first registration waits for the session bus: without it notifications follow later."""

logger = logging.getLogger(__name__)


class SessionBusUser(Protocol):
    """A provider that needs the session bus."""

    async def attach(self, bus: Bus) -> None:
        """There is a connection. Raises BusError where it is lost at once."""

    def detach(self, lack: str) -> None:
        """There is none; why."""


class SessionBus:
    """Keeps a connection to the session bus.

    Args:
        address: where it is.
        users: who need it.
    """

    def __init__(self, address: str, users: Sequence[SessionBusUser]) -> None:
        self._address = address
        self._users = users
        self._news = News(logger, "session bus", self._lacking)
        self._changed = Pulse()
        self._tried = False

    async def run(self) -> None:
        """Connect, and connect again; for ever."""
        await keep_connected(self._address, self._use, news=self._news, backoff=Backoff())

    async def settled(self) -> None:
        """Wait for the first attempt to end, well or not; at most SETTLE_SECONDS."""
        with anyio.move_on_after(SETTLE_SECONDS):
            while not self._tried:
                await self._changed.wait()

    async def _use(self, bus: Bus) -> None:
        self._news.tell("connected")
        try:
            for user in self._users:
                await user.attach(bus)
            self._settle()
            await bus.wait_lost()
        finally:
            # Not when the agent is stopping.
            if bus.lost_reason is not None:
                self._detach("no session bus: it went away")

    def _lacking(self, state: str) -> None:
        if state != "connected":
            self._detach(f"no session bus: {state}")
            self._settle()

    def _detach(self, lack: str) -> None:
        for user in self._users:
            user.detach(lack)

    def _settle(self) -> None:
        self._tried = True
        self._changed.beat()
