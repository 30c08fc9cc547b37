"""Tells eventd what the session's screensavers say of the lock, while some host wants to know of locks."""

from __future__ import annotations

import anyio

from guestmux_session.desktop.claimant import Claimant, ClaimHost
from guestmux_session.desktop.screensavers import ScreenSavers

EVENTS = ("SESSION_LOCK", "SESSION_UNLOCK")

REST_SECONDS = 0.2
"""Seconds between two claims: eventd waits longer than that for all to agree."""


class LockWatch:
    """Follows the screensavers.

    Args:
        host: the agent.
        savers: the screensavers.
    """

    def __init__(self, host: ClaimHost, savers: ScreenSavers) -> None:
        self._host = host
        self._savers = savers

    async def run(self) -> None:
        """Watch while somebody wants to know; for as long as the agent is registered."""
        claimant = Claimant(self._host, "locked")
        while True:
            await self._host.until_wanted(*EVENTS)
            async with anyio.create_task_group() as group:
                group.start_soon(self._tell, claimant)
                await self._host.until_unwanted(*EVENTS)
                group.cancel_scope.cancel()
            await claimant.claim({})

    async def _tell(self, claimant: Claimant) -> None:
        async with self._savers.followed() as savers:
            while True:
                seen = savers.changed.count
                await claimant.claim(savers.values)
                await anyio.sleep(REST_SECONDS)
                await savers.changed.wait_beyond(seen)
