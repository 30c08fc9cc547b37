"""The contents that the agent has put into clipboards, each with the connection that it needs."""

from __future__ import annotations

from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup, TaskStatus

from guestmux_protocol.clipboard_commands import Selection
from guestmux_session.desktop.clipboard_formats import Content
from guestmux_session.desktop.clipboard_source import Held
from guestmux_session.desktop.clipboard_sources import ClipboardSources
from guestmux_session.desktop.errors import DisplayUnavailable


@dataclass
class _Holding:
    content: Content
    held: Held
    scope: anyio.CancelScope


class HeldContents:
    """At most one for each selection, whether eventd is there or not.

    Args:
        sources: where to.
    """

    def __init__(self, sources: ClipboardSources) -> None:
        self._sources = sources
        self._group: TaskGroup | None = None
        self._holdings: dict[Selection, _Holding] = {}

    def __repr__(self) -> str:
        return f"<HeldContents {sorted(self._holdings)}>"

    async def run(self) -> None:
        """Keep them, for as long as the agent runs."""
        async with anyio.create_task_group() as self._group:
            await anyio.sleep_forever()

    def sizes(self, selection: Selection) -> dict[str, int]:
        """Bytes by format of what is there, where the agent put it there."""
        holding = self._holdings.get(selection)
        return holding.content.sizes if holding is not None and holding.held.alive else {}

    async def put(self, selection: Selection, content: Content) -> None:
        """Put one in, in place of what is there. Raises DisplayError."""
        if self._group is None:
            raise DisplayUnavailable("the agent has not started")
        holding = await self._group.start(self._keep, selection, content)
        self.drop(selection)
        self._holdings[selection] = holding

    def drop(self, selection: Selection) -> None:
        """Have none any more."""
        holding = self._holdings.pop(selection, None)
        if holding is not None:
            holding.scope.cancel()

    async def _keep(
        self, selection: Selection, content: Content, *, task_status: TaskStatus[_Holding]
    ) -> None:
        with anyio.CancelScope() as scope:
            async with self._sources.open() as source:
                held = await source.hold(selection, content)
                try:
                    holding = _Holding(content, held, scope)
                    task_status.started(holding)
                    await held.wait_over()
                finally:
                    held.release()
        self._forget(selection, scope)

    def _forget(self, selection: Selection, scope: anyio.CancelScope) -> None:
        """Not the one that has come in its place."""
        holding = self._holdings.get(selection)
        if holding is not None and holding.scope is scope:
            del self._holdings[selection]
