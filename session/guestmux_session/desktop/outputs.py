"""session-list-displays, session-set-displays: what shows the session's windows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from guestmux_protocol.display_commands import (
    DISPLAY,
    Displays,
    DisplaysSet,
    SessionListDisplays,
    SessionSetDisplays,
)
from guestmux_session.declarations import command_of
from guestmux_session.desktop.errors import DisplayError
from guestmux_session.desktop.output_source import OutputSource, states_of
from guestmux_session.desktop.output_sources import OutputSources
from guestmux_session.errors import CommandError


class Outputs:
    """Serves what is about displays.

    Args:
        sources: where they are.

    Attributes:
        name: as session-get-info shows it.
    """

    name = "displays"

    def __init__(self, sources: OutputSources) -> None:
        self._sources = sources

    async def state(self) -> str:
        """Which source there is, or why none."""
        try:
            async with self._sources.open() as source:
                return source.name
        except DisplayError as error:
            return str(error)

    @command_of(DISPLAY["session-list-displays"])
    async def list_displays(self, _asked: SessionListDisplays) -> Displays:
        """Tell them."""
        async with self._source() as source:
            return await source.displays()

    @command_of(DISPLAY["session-set-displays"])
    async def set_displays(self, asked: SessionSetDisplays) -> DisplaysSet:
        """Set them."""
        async with self._source() as source:
            await source.set(asked.displays, test=asked.test)
            return DisplaysSet(displays=states_of(await source.displays()))

    @asynccontextmanager
    async def _source(self) -> AsyncIterator[OutputSource]:
        try:
            async with self._sources.open() as source:
                yield source
        except DisplayError as error:
            raise CommandError(f"the session's displays cannot be reached: {error}") from error
