"""A thing that may change at any time, and those who wait for it to."""

from __future__ import annotations

import anyio


class Pulse:
    """Wakes everybody who waits at that moment. Look at the state first, then wait: nothing is awaited between.

    Attributes:
        count: how many changes there were; for those who have to await between looking and waiting.
    """

    def __init__(self) -> None:
        # Made by who waits: an agent is built before its event loop.
        self._event: anyio.Event | None = None
        self.count = 0

    def beat(self) -> None:
        """Something changed."""
        self.count += 1
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self) -> None:
        """Wait for the next change."""
        if self._event is None:
            self._event = anyio.Event()
        await self._event.wait()

    async def wait_beyond(self, count: int) -> None:
        """Wait until there were more changes than that."""
        while self.count <= count:
            await self.wait()
