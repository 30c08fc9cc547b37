"""How large the contents are that programs have put into the clipboards: nothing tells it but the content itself."""

from __future__ import annotations

from contextlib import aclosing

import anyio

from guestmux_protocol.clipboard_commands import MAX_CONTENT, TEXT, Selection
from guestmux_session.desktop.clipboard_formats import Offered, from_program
from guestmux_session.desktop.clipboard_guard import ClipboardGuard
from guestmux_session.desktop.clipboard_source import ClipboardSource, NotOffered, OwnerFailed
from guestmux_session.errors import CommandError

FORMATS = (TEXT, "text/html", "image/png")
"""Those that hosts have a use for; a program would have to make each of its others for nobody."""

MEASURE_SECONDS = 5.0
"""Seconds for all of them: the change is told without what has not come by then."""


class ClipboardSizes:
    """Asks programs for contents, counts their bytes, and keeps nothing of them.

    Args:
        guard: says whether contents may be looked at now.
        wanted: the guest's administrator wants it.
    """

    def __init__(self, guard: ClipboardGuard, *, wanted: bool) -> None:
        self._guard = guard
        self._wanted = wanted

    async def measure(
        self, source: ClipboardSource, selection: Selection, offered: Offered
    ) -> dict[str, int]:
        """Bytes by format, as far as they are found.

        Raises:
            DisplayError: the display server is lost.
        """
        sizes: dict[str, int] = {}
        if not self._wanted or not await self._may():
            return sizes
        with anyio.move_on_after(MEASURE_SECONDS):
            for kind in FORMATS:
                name = offered.name_of(kind)
                size = None if name is None else await _size(source, selection, name)
                if size is not None:
                    sizes[kind] = size
        return sizes

    async def _may(self) -> bool:
        try:
            await self._guard.check()
        except CommandError:
            return False
        return True


async def _size(source: ClipboardSource, selection: Selection, name: str) -> int | None:
    """Bytes as hosts would get them; None: nobody gets them."""
    count = 0
    try:
        async with aclosing(source.read(selection, name)) as pieces:
            async for piece in pieces:
                count += len(from_program(name, piece))
                if count > MAX_CONTENT:
                    return None
    except (NotOffered, OwnerFailed):
        return None
    return count
