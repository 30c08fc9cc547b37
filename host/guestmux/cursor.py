"""How far the consumer of a stream is, kept on disk."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from guestmux.cursor_file import CursorError, CursorFile
from guestmux.event import Event
from guestmux.file_worker import in_thread
from guestmux_protocol.commands import Position

SAVE_SECONDS = 0.25
"""Seconds from one write to the next, as each waits for the disk; a consumer that is killed gets so much twice."""


class Cursor:
    """Writes a position some times a second. One at a time.

    Args:
        path: the file.

    Attributes:
        on_fault: called when a write has failed; `check` tells why.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.on_fault: Callable[[], None] = lambda: None
        self._file = CursorFile(path)
        self._noted: Position | Event | None = None
        self._saved: Position | Event | None = None
        self._saved_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._saving: asyncio.Task[None] | None = None
        self._fault: CursorError | None = None

    def __repr__(self) -> str:
        return f"<Cursor {self._file!r}>"

    async def open(self) -> Position | None:
        """Take the file; gives the position in it, None where there is no file yet.

        Raises:
            CursorError: it cannot be used, or another consumer has it.
        """
        return await in_thread(self._file.open, lambda _: self._file.close())

    def note(self, position: Position | Event) -> None:
        """Have a position written soon; that of an event, or one."""
        if position is self._noted:
            return
        self._noted = position
        if self._timer is None and self._saving is None:
            self._plan()

    async def save(self) -> None:
        """Have what was noted on disk now.

        Raises:
            CursorError: it cannot be written.
        """
        if self._saving is not None:
            await asyncio.wait([self._saving])
        if self._noted is not self._saved:
            self._begin()
            if self._saving is not None:
                await asyncio.wait([self._saving])
        self.check()

    def check(self) -> None:
        """Tell once of a write that failed since.

        Raises:
            CursorError: it did.
        """
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    async def close(self) -> None:
        """Write what was noted, and give the file back.

        Raises:
            CursorError: it cannot be written.
        """
        try:
            await self.save()
        finally:
            self._stop_timer()
            self._file.close()

    def _plan(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(max(self._saved_at + SAVE_SECONDS, loop.time()), self._begin)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self) -> None:
        self._stop_timer()
        if self._saving is None and self._noted is not None:
            self._saving = asyncio.create_task(self._save(self._noted))

    async def _save(self, position: Position | Event) -> None:
        assert position.seq is not None
        wanted = Position(epoch=position.epoch, seq=position.seq)
        try:
            await in_thread(lambda: self._file.save(wanted))
            self._saved, self._fault = position, None
        except CursorError as error:
            self._fault = error
            self.on_fault()
        finally:
            self._saving = None
            self._saved_at = asyncio.get_running_loop().time()
        if self._noted is not position:
            self._plan()
