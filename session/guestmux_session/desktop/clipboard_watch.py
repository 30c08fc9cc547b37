"""Tells hosts of changes of the clipboards, while some host wants to know."""

from __future__ import annotations

import logging

import anyio
from msgspec import UNSET

from guestmux_protocol.clipboard_commands import Selection
from guestmux_protocol.events import ClipboardChanged
from guestmux_session.backoff import Backoff
from guestmux_session.desktop.clipboard_formats import Offered
from guestmux_session.desktop.clipboard_guard import ClipboardGuard
from guestmux_session.desktop.clipboard_sizes import ClipboardSizes
from guestmux_session.desktop.clipboard_source import SELECTIONS, ClipboardSource, NotOffered, OwnerFailed
from guestmux_session.desktop.clipboard_sources import ClipboardSources
from guestmux_session.desktop.errors import DisplayError
from guestmux_session.desktop.held_contents import HeldContents
from guestmux_session.errors import Disconnected, NotRegistered
from guestmux_session.news import News
from guestmux_session.pulse import Pulse
from guestmux_session.telling import EventHost, tell

EVENT = "CLIPBOARD_CHANGED"

REST_SECONDS = 0.2
"""Seconds between two events about one clipboard: marking a text changes `primary` with every move of the mouse."""

logger = logging.getLogger(__name__)


class ClipboardWatch:
    """Follows the clipboards.

    Args:
        host: whom events go to.
        sources: where the clipboards are.
        contents: what the agent has put into them.
        guard: says whether changes may be told.
        sizes: measures what programs have put into them.
    """

    def __init__(
        self,
        host: EventHost,
        sources: ClipboardSources,
        contents: HeldContents,
        guard: ClipboardGuard,
        sizes: ClipboardSizes,
    ) -> None:
        self._host = host
        self._sources = sources
        self._contents = contents
        self._guard = guard
        self._sizes = sizes
        self._trouble = News(logger, "clipboard")

    async def run(self) -> None:
        """Watch while somebody wants to know; for as long as the agent is registered."""
        while self._guard.allows_events:
            await self._host.until_wanted(EVENT)
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
        changes = {selection: Pulse() for selection in SELECTIONS}
        async with self._sources.open() as source:
            self._trouble.tell(f"followed by {source.name}")
            failure: DisplayError | None = None
            async with anyio.create_task_group() as group:
                for selection, changed in changes.items():
                    group.start_soon(self._tell_changes, source, selection, changed)
                try:
                    await source.follow(lambda selection: changes[selection].beat())
                except DisplayError as error:
                    failure = error
                group.cancel_scope.cancel()
            if failure is not None:
                raise failure

    async def _tell_changes(self, source: ClipboardSource, selection: Selection, changed: Pulse) -> None:
        seen = 0
        while True:
            await changed.wait_beyond(seen)
            seen = changed.count
            try:
                offered = await self._offered(source, selection)
                await self._tell(selection, offered, await self._measured(source, selection, offered))
            except (DisplayError, Disconnected, NotRegistered):
                # The next connection, or registration, tells of what comes then.
                return
            await anyio.sleep(REST_SECONDS)

    async def _offered(self, source: ClipboardSource, selection: Selection) -> Offered | None:
        """What there is; None: the program that has it does not tell."""
        try:
            return await source.offered(selection)
        except (OwnerFailed, NotOffered):
            return None

    async def _measured(
        self, source: ClipboardSource, selection: Selection, offered: Offered | None
    ) -> dict[str, int]:
        known = self._contents.sizes(selection)
        return known if known or offered is None else await self._sizes.measure(source, selection, offered)

    async def _tell(self, selection: Selection, offered: Offered | None, sizes: dict[str, int]) -> None:
        data = ClipboardChanged(
            selection=selection,
            formats=UNSET if offered is None else offered.formats,
            sizes=sizes or UNSET,
            truncated=offered is not None and offered.truncated,
        )
        await tell(self._host, EVENT, data, self._trouble)
