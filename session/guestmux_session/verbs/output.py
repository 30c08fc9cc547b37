"""A stream that a process writes and the agent reads: kept up to a limit, and then dropped, or left where it is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

_CHUNK = 64 * 1024
"""Bytes of one read: what a pipe holds."""


class Output:
    """Reads a pipe or a terminal on the event loop.

    Args:
        descriptor: the reading end; closed at the end of the stream.
        limit: bytes that are held at a time.
        drop: True: what is beyond the limit is read and dropped, so that the writer never waits; False: it is not
            read before there is room.
        changed: called when something came, and at the end.

    Attributes:
        ended: nothing more comes.
        truncated: something was dropped.
    """

    def __init__(self, descriptor: int, limit: int, *, drop: bool, changed: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._limit = limit
        self._drop = drop
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._held = bytearray()
        self._reading = False
        self.ended = False
        self.truncated = False
        os.set_blocking(descriptor, False)
        self._resume()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def descriptor(self) -> int:
        """Of the reading end, while it has not ended."""
        return self._descriptor

    def take(self, most: int) -> bytes | bytearray:
        """Give what is held, up to `most` bytes, and go on reading."""
        if most >= len(self._held):
            taken, self._held = self._held, bytearray()
        else:
            taken = self._held[:most]
            del self._held[:most]
        self._resume()
        return taken

    def discard(self) -> None:
        """Hold nothing from now on; what the process writes is read and dropped."""
        self._limit, self._drop = 0, True
        self.take(len(self._held))

    def close(self) -> None:
        """Read no more: a process that goes on writing gets SIGPIPE, one on a terminal SIGHUP."""
        if not self.ended:
            self.ended = True
            self._pause()
            os.close(self._descriptor)

    def _resume(self) -> None:
        if not self._reading and not self.ended:
            self._reading = True
            self._loop.add_reader(self._descriptor, self._on_readable)

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._descriptor)

    def _on_readable(self) -> None:
        room = self._limit - len(self._held)
        try:
            data = os.read(self._descriptor, _CHUNK if self._drop else min(room, _CHUNK))
        except BlockingIOError:
            return
        except OSError:
            # A terminal that no program has open any more gives EIO.
            data = b""
        if not data:
            self.close()
        else:
            self._hold(data, room)
        self._changed()

    def _hold(self, data: bytes, room: int) -> None:
        self._held += data[:room]
        if len(data) > room:
            self.truncated = True
        elif len(data) == room and not self._drop:
            self._pause()
