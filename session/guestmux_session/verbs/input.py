"""A stream that the agent writes and a process reads: what it has room for, and its end."""

from __future__ import annotations

import asyncio
import os
import termios
from contextlib import suppress

from guestmux_session.errors import CommandError

PATIENCE = 10.0
"""Seconds that a write waits for a first byte's room, before it tells that there is none."""


class Input:
    """Writes to a pipe or a terminal on the event loop.

    Args:
        descriptor: the writing end.
        patience: seconds to wait for room.
    """

    def __init__(self, descriptor: int, patience: float = PATIENCE) -> None:
        self._descriptor = descriptor
        self._patience = patience
        self._open = True
        self._room: asyncio.Future[None] | None = None
        # One at a time, so that two calls' bytes do not mix.
        self._turn = asyncio.Lock()
        os.set_blocking(descriptor, False)

    async def write(self, data: bytes, *, end: bool) -> int:
        """Write what there is room for; waits where there is none at all.

        Args:
            data: the bytes.
            end: nothing follows them; counts only where all were taken.

        Returns:
            How many were taken.

        Raises:
            CommandError: nobody reads it any more.
        """
        async with self._turn:
            count = self._write_now(data)
            if data and not count:
                await self._wait_for_room()
                count = self._write_now(data)
            if end and count == len(data):
                self._end()
            return count

    def close(self) -> None:
        """Write no more; the process reads the end."""
        if self._open:
            self._open = False
            if self._room is not None:
                self._has_room(self._room)
            os.close(self._descriptor)

    def _write_now(self, data: bytes) -> int:
        if not self._open:
            raise CommandError("the process's input is closed")
        done = 0
        with suppress(BlockingIOError):
            while done < len(data):
                done += self._write(memoryview(data)[done:])
        return done

    def _write(self, data: memoryview) -> int:
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            raise
        except OSError as error:
            raise CommandError("the process reads no input any more") from error

    async def _wait_for_room(self) -> None:
        loop = asyncio.get_running_loop()
        self._room = loop.create_future()
        loop.add_writer(self._descriptor, self._has_room, self._room)
        try:
            await asyncio.wait({self._room}, timeout=self._patience)
        finally:
            self._has_room(self._room)

    def _has_room(self, room: asyncio.Future[None]) -> None:
        if not room.done():
            room.set_result(None)
            room.get_loop().remove_writer(self._descriptor)

    def _end(self) -> None:
        """A pipe is closed; on a terminal the end is a character, which its program may read past."""
        if os.isatty(self._descriptor):
            with suppress(BlockingIOError):
                self._write(memoryview(termios.tcgetattr(self._descriptor)[6][termios.VEOF]))
        else:
            self.close()
