"""What a source of applications is, and the rhythm that all of them keep."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Protocol

import anyio

from guestmux_session.desktop.app_table import AppTable
from guestmux_session.desktop.errors import DisplayError, DisplayLost
from guestmux_session.pulse import Pulse

REST_SECONDS = 0.2
"""Seconds between two looks at what has changed: a thousand changes in a second are five looks, and what came and went
in between is told by nobody. The first change of a while is looked at, at once."""

MAX_TITLE = 1024
"""Characters of a window's title; desktops show a tenth of it."""


class AppSource(Protocol):
    """Something that knows which applications run.

    Attributes:
        name: as session-get-info shows it.
        has_windows: it knows windows, and which of them has the focus.
    """

    name: str
    has_windows: bool

    async def load(self, table: AppTable) -> None:
        """Enter what there is now. Raises DisplayError."""

    async def follow(self, table: AppTable) -> None:
        """Enter what changes, after `load`, until it ends by DisplayLost."""

    async def title(self, window: Hashable) -> str:
        """A window's title, MAX_TITLE at most; empty where nobody knows it. Raises DisplayError."""

    async def focus(self, window: Hashable) -> None:
        """Give a window the keyboard. Raises DisplayError, CommandError where it cannot."""

    async def close(self, window: Hashable) -> None:
        """Ask a window to close. Raises DisplayError, CommandError where it cannot."""


class Connected(Protocol):
    """A connection that may be lost."""

    lost_reason: str | None

    async def wait_lost(self) -> None:
        """Wait until it has ended."""


async def refresh_on_change(changed: Pulse, refresh: Callable[[], Awaitable[None]], on: Connected) -> None:
    """Look, and again whenever something has changed, at most every REST_SECONDS.

    Args:
        changed: beaten with each change.
        refresh: looks; raises DisplayError.
        on: what it looks over.

    Raises:
        DisplayError: that was lost, or refused to be looked at.
    """
    failure: DisplayError = DisplayLost("it ended")

    async def looking() -> None:
        nonlocal failure
        try:
            await _refresh_for_ever(changed, refresh)
        except DisplayError as error:
            failure = error
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(looking)
        await on.wait_lost()
        group.cancel_scope.cancel()
    raise failure if on.lost_reason is None else DisplayLost(f"lost the display server: {on.lost_reason}")


async def _refresh_for_ever(changed: Pulse, refresh: Callable[[], Awaitable[None]]) -> None:
    seen = changed.count
    while True:
        await refresh()
        await anyio.sleep(REST_SECONDS)
        await changed.wait_beyond(seen)
        seen = changed.count
