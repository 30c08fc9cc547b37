"""What a host asked for and waits for: run concurrently, given up one by one or all together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import anyio


class AskedWork:
    """Tasks and calls without one, by the numbers of the requests that they are for.

    Bare tasks: a scope each would double a call's cost.

    Args:
        given_up: told of each that ended because it was cancelled by its number.
    """

    def __init__(self, given_up: Callable[[int], object]) -> None:
        self._given_up = given_up
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._calls: dict[int, Callable[[], None]] = {}
        self._closed = False

    def __repr__(self) -> str:
        return f"<AskedWork {len(self)} under way>"

    def __len__(self) -> int:
        return len(self._tasks) + len(self._calls)

    def start(self, number: int, work: Coroutine[Any, Any, None]) -> None:
        """Run something; what it raises is a bug."""
        task = self._tasks[number] = asyncio.create_task(work)
        task.add_done_callback(partial(self._ended, number))

    def enter(self, number: int, give_up: Callable[[], None]) -> None:
        """Keep what gives a call up, until `leave`."""
        self._calls[number] = give_up

    def leave(self, number: int) -> None:
        """A call ended."""
        del self._calls[number]

    def cancel(self, number: int) -> None:
        """Give one up, if it is still under way."""
        if task := self._tasks.get(number):
            task.cancel()
        elif give_up := self._calls.pop(number, None):
            give_up()
            self._given_up(number)

    async def close(self) -> None:
        """Give all up, and wait until they ended; nobody is told."""
        self._closed = True
        calls, self._calls = self._calls, {}
        for give_up in calls.values():
            give_up()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, number: int, task: asyncio.Task[None]) -> None:
        del self._tasks[number]
        if task.cancelled():
            if not self._closed:
                self._given_up(number)
        elif error := task.exception():
            task.get_loop().call_exception_handler({"message": "a host's request failed", "exception": error})
