"""Contents that go through pipes, as on Wayland: read and written on the loop, so that no program holds it up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable

from guestmux_session.desktop.clipboard_source import OwnerFailed, Patience
from guestmux_session.pulse import Pulse

READ_BYTES = 64 * 1024
"""Bytes of one read: what a pipe holds."""


async def read_pipe(fd: int) -> AsyncGenerator[bytes, None]:
    """What a program writes into a pipe, until it closes it. Closes our end.

    Args:
        fd: not blocking.

    Raises:
        OwnerFailed: it does not write in time.
    """
    loop = asyncio.get_running_loop()
    patience, readable = Patience(), Pulse()
    loop.add_reader(fd, readable.beat)
    try:
        while True:
            with patience.waiting():
                data = await _next(fd, readable)
            if not data:
                return
            yield data
    except OSError as error:
        raise OwnerFailed(f"the program that has the content broke it off: {error.strerror}") from error
    finally:
        loop.remove_reader(fd)
        os.close(fd)


async def _next(fd: int, readable: Pulse) -> bytes:
    while True:
        seen = readable.count
        try:
            return os.read(fd, READ_BYTES)
        except BlockingIOError:
            await readable.wait_beyond(seen)


class PipeWriter:
    """Writes a content into a pipe as its reader takes it, and closes it.

    Args:
        fd: ours from now on.
        data: the content.
        over: called once when it has ended.
    """

    def __init__(self, fd: int, data: bytes, over: Callable[[PipeWriter], None]) -> None:
        self._fd = fd
        self._data = memoryview(data)
        self._over = over
        self._loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)
        self._loop.add_writer(fd, self._write)

    def close(self) -> None:
        """Give it up."""
        if self._fd >= 0:
            self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._over(self)

    def _write(self) -> None:
        try:
            self._data = self._data[os.write(self._fd, self._data) :] if self._data else self._data
        except BlockingIOError:
            return
        except OSError:
            # Its reader has gone, or gave us something that is no pipe.
            self.close()
            return
        if not self._data:
            self.close()
