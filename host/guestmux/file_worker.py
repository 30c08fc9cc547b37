"""File work in a thread while the loop does something else: one piece is under way while the next is made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")


class FileWorker(Generic[T]):
    """Runs one function at a time in a thread. Ends with `async with`, which waits for the last.

    A thread cannot be stopped in the middle of a write, so a cancellation waits for it too: what was written is known.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[T] | None = None

    async def start(self, work: Callable[[], T]) -> None:
        """Start a piece of work, when the one before is done; raises what that raised."""
        await self.wait()
        self._task = asyncio.create_task(anyio.to_thread.run_sync(work))

    async def wait(self) -> T | None:
        """Wait for the work that was started; gives its result, None where there is none."""
        task = self._task
        if task is None:
            return None
        result = await asyncio.shield(task)
        self._task = None
        return result

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task])
        fault = task.exception()
        # What went wrong first is what the caller is to see.
        if fault is not None and error is None:
            raise fault


async def in_thread(work: Callable[[], T], undo: Callable[[T], object] | None = None) -> T:
    """Do one piece of file work in a thread. A cancellation waits for it as well.

    Args:
        work: what to do; may block.
        undo: is given what it made when nobody takes it any more.
    """
    task = asyncio.create_task(anyio.to_thread.run_sync(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task])
        if task.done() and task.exception() is None and undo is not None:
            undo(task.result())
        raise
