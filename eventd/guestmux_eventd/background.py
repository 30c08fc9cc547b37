"""Work that nobody waits for, run beside everything else."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from guestmux_eventd.changes import Changes

Work = Callable[[], Coroutine[Any, Any, None]]


class Background:
    """Runs what it is given, all at once; bounded by what gives it."""

    def __init__(self) -> None:
        self._given: deque[Work] = deque()
        self._more = Changes()

    def __repr__(self) -> str:
        return f"<Background {len(self._given)} not begun>"

    def start(self, work: Work) -> None:
        """Have something run soon."""
        self._given.append(work)
        self._more.notify()

    async def run(self) -> None:
        """Run what is given, until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                while self._given:
                    tasks.start_soon(self._given.popleft())
                await self._more.wait()
