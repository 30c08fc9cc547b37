"""An event that costs little while nobody waits for it: a thousand idle connections have several each."""

from __future__ import annotations

import asyncio


class Flag:
    """As asyncio.Event, which has a queue of its own from the beginning."""

    __slots__ = ("_event", "_is_set")

    def __init__(self) -> None:
        self._is_set = False
        self._event: asyncio.Event | None = None

    def __repr__(self) -> str:
        return f"<Flag {'set' if self._is_set else 'unset'}>"

    def is_set(self) -> bool:
        """Whether nobody has to wait."""
        return self._is_set

    def set(self) -> None:
        """Let everybody go on who waits, and whoever comes."""
        self._is_set = True
        if self._event is not None:
            self._event.set()
            self._event = None

    def clear(self) -> None:
        """Have whoever comes wait."""
        self._is_set = False

    async def wait(self) -> None:
        """Wait until it is set."""
        if not self._is_set:
            if self._event is None:
                self._event = asyncio.Event()
            await self._event.wait()
