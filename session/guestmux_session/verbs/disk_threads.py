"""Threads for work with files that comes in pieces, so that it can be given up between two of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

MAX_THREADS = 16
"""Pieces at a time: more than the machine can do at once, so that some may wait for a disk that has gone."""

PIECE_BYTES = 512 * 1024
"""Bytes of one piece: to go to a thread and back takes a tenth of the time that it takes to read and hash so many."""

Result = TypeVar("Result")


class DiskThreads:
    """A pool of threads.

    Args:
        name: for debuggers.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._pool: ThreadPoolExecutor | None = None

    def begin(self, work: Callable[[], Result]) -> Future[Result]:
        """Have something done."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(MAX_THREADS, self._name)
        return self._pool.submit(work)

    def close(self) -> None:
        """End the threads. One that is at work ends when that is done; what is not begun yet never is."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


class ThreadedFile:
    """A file that is opened and used in threads, one piece of work after the other; use it as a context manager.

    When the block is left a thread may still be at work: the file is closed by that thread then, never under it.

    Args:
        threads: where.
        opener: gives its descriptor; may block.
        closer: closes it; may block.
    """

    def __init__(
        self, threads: DiskThreads, opener: Callable[[], int], closer: Callable[[int], None] = os.close
    ) -> None:
        self._threads = threads
        self._opener = opener
        self._closer = closer
        self._descriptor: int | None = None
        self._work: Future[Any] | None = None
        self._promise: asyncio.Future[Any] | None = None

    async def __aenter__(self) -> ThreadedFile:
        try:
            await self.begin(self._open)
        except BaseException:
            self._let_go()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._let_go()

    def begin(self, work: Callable[[], Result]) -> asyncio.Future[Result]:
        """Have something done with it; nothing else may be under way. Gives what to await for its result."""
        begun = self._threads.begin(work)
        self._work = begun
        self._promise = promise = asyncio.wrap_future(begun)
        return promise

    @property
    def descriptor(self) -> int:
        """The file's."""
        assert self._descriptor is not None
        return self._descriptor

    def close(self) -> None:
        """Close it, in a thread, and tell what only that tells. Raises OSError."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._closer(descriptor)

    def _open(self) -> None:
        self._descriptor = self._opener()

    def _let_go(self) -> None:
        if self._promise is not None and not self._promise.cancel() and not self._promise.cancelled():
            # Nobody may have awaited it.
            self._promise.exception()
        if self._work is not None:
            self._work.add_done_callback(self._close_quietly)

    def _close_quietly(self, _work: Future[Any]) -> None:
        with suppress(OSError):
            self.close()
