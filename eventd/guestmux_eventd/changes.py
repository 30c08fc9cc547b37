"""Telling whoever waits that a table changed."""

from __future__ import annotations

import anyio


class Changes:
    """A broadcast without content: waiters look for themselves."""

    def __init__(self) -> None:
        self._next = anyio.Event()

    def notify(self) -> None:
        """Wake everybody who waits now."""
        event, self._next = self._next, anyio.Event()
        event.set()

    async def wait(self) -> None:
        """Return at the next `notify`."""
        await self._next.wait()
