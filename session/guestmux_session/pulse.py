"""A thing that may change at any time, and those who wait for it to."""

from __future__ import annotations

import anyio


class Pulse:
    """Wakes everybody who waits at that moment. Look at the state first, then wait: nothing is awaited between."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def beat(self) -> None:
        """Something changed."""
        self._event.set()
        self._event = anyio.Event()

    async def wait(self) -> None:
        """Wait for the next change."""
        await self._event.wait()
