"""Tells eventd whether somebody uses the session, while some host wants to know."""

from __future__ import annotations

import logging

import anyio

from guestmux_session.backoff import Backoff
from guestmux_session.desktop.claimant import Claimant, ClaimHost
from guestmux_session.desktop.errors import DisplayError
from guestmux_session.desktop.idle_source import IdleSource
from guestmux_session.desktop.idle_sources import IdleSources
from guestmux_session.news import News
from guestmux_session.pulse import Pulse

EVENT = "SESSION_IDLE"

REST_SECONDS = 0.2
"""Seconds between two claims: eventd waits longer than that for logind to say the same."""

logger = logging.getLogger(__name__)


class IdleWatch:
    """Follows the source of idleness.

    Args:
        host: the agent.
        sources: where it is known from.
        seconds: without input that make the session idle.
    """

    def __init__(self, host: ClaimHost, sources: IdleSources, seconds: float) -> None:
        self._host = host
        self._sources = sources
        self._seconds = seconds
        self._trouble = News(logger, "idle")
        self._idle_since: float | None = None

    @property
    def idle_for(self) -> float | None:
        """Seconds since the last input, as far as the watch knows it: only while it is wanted, and the session idle."""
        if self._idle_since is None:
            return None
        return anyio.current_time() - self._idle_since + self._seconds

    async def run(self) -> None:
        """Watch while somebody wants to know; for as long as the agent is registered."""
        claimant = Claimant(self._host, "idle")
        while True:
            await self._host.until_wanted(EVENT)
            async with anyio.create_task_group() as group:
                group.start_soon(self._follow, claimant)
                await self._host.until_unwanted(EVENT)
                group.cancel_scope.cancel()
            await claimant.claim({})

    async def _follow(self, claimant: Claimant) -> None:
        """Follow the source, and the next when it is lost."""
        backoff = Backoff()
        while True:
            backoff.attempt()
            try:
                async with self._sources.open() as source:
                    self._trouble.tell(f"followed by {source.name}")
                    await self._follow_one(source, claimant)
            except DisplayError as error:
                self._trouble.tell(f"not followed: {error}", logging.WARNING)
            await claimant.claim({})
            await anyio.sleep(backoff.next())

    async def _follow_one(self, source: IdleSource, claimant: Claimant) -> None:
        told: list[bool] = []
        changed = Pulse()
        failure: DisplayError | None = None

        def tell(idle: bool) -> None:
            told[:] = [idle]
            self._idle_since = anyio.current_time() if idle else None
            changed.beat()

        async def following() -> None:
            nonlocal failure
            try:
                await source.follow(self._seconds, tell)
            except DisplayError as error:
                failure = error
            group.cancel_scope.cancel()

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(following)
                await self._claim_changes(source.name, claimant, told, changed)
        finally:
            self._idle_since = None
        if failure is not None:
            raise failure

    async def _claim_changes(self, name: str, claimant: Claimant, told: list[bool], changed: Pulse) -> None:
        seen = 0
        while True:
            await changed.wait_beyond(seen)
            seen = changed.count
            await claimant.claim({name: told[0]})
            await anyio.sleep(REST_SECONDS)
