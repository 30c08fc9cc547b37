"""Tells hosts of changes of the displays, while some host wants to know."""

from __future__ import annotations

import logging

import anyio

from guestmux_protocol.display_commands import Displays
from guestmux_protocol.events import DisplayChanged
from guestmux_session.backoff import Backoff
from guestmux_session.desktop.errors import DisplayError
from guestmux_session.desktop.output_source import OutputSource, states_of
from guestmux_session.desktop.output_sources import OutputSources
from guestmux_session.errors import Disconnected, NotRegistered
from guestmux_session.news import News
from guestmux_session.pulse import Pulse
from guestmux_session.telling import EventHost, tell

EVENT = "DISPLAY_CHANGED"

REST_SECONDS = 0.5
"""Seconds from a change until it is told, with what comes meanwhile: it comes in steps, one display off, the next on,
and desktops rearrange them afterwards."""

logger = logging.getLogger(__name__)


class OutputWatch:
    """Follows the displays.

    Args:
        host: whom events go to.
        sources: where the displays are.
    """

    def __init__(self, host: EventHost, sources: OutputSources) -> None:
        self._host = host
        self._sources = sources
        self._trouble = News(logger, "displays")
        self._told: DisplayChanged | None = None

    async def run(self) -> None:
        """Watch while somebody wants to know; for as long as the agent is registered."""
        while True:
            await self._host.until_wanted(EVENT)
            self._told = None
            async with anyio.create_task_group() as group:
                group.start_soon(self._follow)
                await self._host.until_unwanted(EVENT)
                group.cancel_scope.cancel()

    async def _follow(self) -> None:
        """Follow the source, and the next when it is lost."""
        backoff = Backoff()
        while True:
            backoff.attempt()
            try:
                await self._follow_one()
            except DisplayError as error:
                self._trouble.tell(f"not followed: {error}", logging.WARNING)
            await anyio.sleep(backoff.next())

    async def _follow_one(self) -> None:
        changed = Pulse()
        async with self._sources.open() as source:
            self._trouble.tell(f"followed by {source.name}")
            failure: DisplayError | None = None
            async with anyio.create_task_group() as group:
                group.start_soon(self._tell_changes, source, changed)
                try:
                    await source.follow(changed.beat)
                except DisplayError as error:
                    failure = error
                group.cancel_scope.cancel()
            if failure is not None:
                raise failure

    async def _tell_changes(self, source: OutputSource, changed: Pulse) -> None:
        seen = 0
        while True:
            try:
                await self._tell(_event(await source.displays()))
            except (DisplayError, Disconnected, NotRegistered):
                # The next connection, or registration, tells of what there is then.
                return
            await changed.wait_beyond(seen)
            await anyio.sleep(REST_SECONDS)
            seen = changed.count

    async def _tell(self, data: DisplayChanged) -> None:
        before, self._told = self._told, data
        # What there was when the first host subscribed has not changed.
        if before is None or before == data:
            return
        await tell(self._host, EVENT, data, self._trouble)


def _event(displays: Displays) -> DisplayChanged:
    # Connectors with nothing behind them are many, and no news.
    shown = [one for one in states_of(displays) if one.connected or one.enabled]
    return DisplayChanged(displays=shown, truncated=displays.truncated)
