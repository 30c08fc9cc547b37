"""What copies of directories have in common: some files at a time, and one that fails does not stop the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

import anyio

from guestmux.copying import (
    CopyFailed,
    CopyFailure,
    CopyOptions,
    CopyReport,
    CopyWatcher,
    shown,
)
from guestmux.errors import CallTimeout, ConnectionLost, GuestmuxError, NotConnected, RemoteError

FILES_AT_ONCE = 8
"""Small files wait for answers more than for bytes; more at once were not faster."""

MAX_DEPTH = 512
"""Directories in directories: far more than anybody has, and a guest that goes on for ever is found out."""

MAX_FAILURES = 1000
"""Failures that a report keeps; those after them are only told to who watches."""

CLOSE_TIMEOUT = 5.0
"""Seconds to give directories their attributes when the copy is cancelled."""

Names = tuple[bytes, ...]
"""A path below the directory that is copied, name by name."""

_FATAL = (ConnectionLost, NotConnected, CallTimeout)


class TreeCopy(ABC):
    """One directory's copy, with all that is in it. Used once.

    Args:
        options: how.
        watcher: is told of it.
        report: what was done is added to it.
    """

    def __init__(self, options: CopyOptions, watcher: CopyWatcher, report: CopyReport) -> None:
        self._options = options
        self._watcher = watcher
        self._report = report
        self._places = anyio.Semaphore(FILES_AT_ONCE)
        self._pending: list[Names] = [()]
        self._fatal: GuestmuxError | None = None

    async def run(self) -> None:
        """Copy it, depth first and sorted by name; what fails is in the report.

        Raises:
            GuestmuxError: the connection was lost, or the guest answers no more.
        """
        try:
            async with anyio.create_task_group() as self._tasks:
                await self._tried(self._walk, ())
        except BaseException:
            with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await self._close()
            raise
        await self._close()
        self._report.failures.sort(key=lambda failure: failure.path)
        if self._fatal is not None:
            raise self._fatal

    @abstractmethod
    def source(self, names: Names) -> bytes:
        """The path of what is copied."""

    @abstractmethod
    async def _visit(self, names: Names) -> None:
        """Make a directory, start copies of the files in it, and note the directories."""

    @abstractmethod
    async def _close(self) -> None:
        """Give the directories their attributes, now that nothing is made in them any more."""

    async def _walk(self, _: Names) -> None:
        while self._pending:
            names = self._pending.pop()
            if len(names) > MAX_DEPTH:
                self._fail(names, CopyFailed(f"more than {MAX_DEPTH} directories in each other"))
            else:
                await self._tried(self._visit, names)

    def _note_directories(self, found: list[Names]) -> None:
        """Visit these next, the first one first."""
        self._pending.extend(reversed(found))

    async def _start(self, work: Callable[[Names], Awaitable[None]], names: Names) -> None:
        """Copy a file as soon as there is a place."""
        await self._places.acquire()
        self._tasks.start_soon(self._run_in_place, work, names)

    async def _run_in_place(self, work: Callable[[Names], Awaitable[None]], names: Names) -> None:
        try:
            await self._tried(work, names)
        finally:
            self._places.release()

    async def _tried(self, work: Callable[[Names], Awaitable[None]], names: Names) -> None:
        try:
            await work(names)
        except _FATAL as error:
            self._fatal = self._fatal or error
            self._tasks.cancel_scope.cancel()
        except (GuestmuxError, RemoteError) as error:
            self._fail(names, error)

    def _fail(self, names: Names, error: GuestmuxError | RemoteError) -> None:
        failure = CopyFailure(shown(self.source(names)), error)
        self._report.failed += 1
        if len(self._report.failures) < MAX_FAILURES:
            self._report.failures.append(failure)
        self._watcher.failed(failure)

    def _skip(self, names: Names, what: str) -> None:
        path = shown(self.source(names))
        self._report.skipped += 1
        self._watcher.skipped(path, what)
