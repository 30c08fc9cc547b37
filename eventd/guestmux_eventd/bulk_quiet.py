"""Gives memory back when bulk is over: frames of many streams leave holes that only the next bulk would fill."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from guestmux_transport.allocator import give_back

QUIET: Final = 2.0
"""Seconds without a byte after which bulk is over. To give back takes some ms, so a pause of it is not enough."""

BULK_BYTES: Final = 16 << 20
"""Bytes moved from which on there may be much to give back; a terminal moves less."""


class BulkQuiet:
    """Notices that the streams of a host came to rest. It needs no timer while nothing moves.

    Args:
        at_rest: called when they did.
    """

    def __init__(self, at_rest: Callable[[], None] = give_back) -> None:
        self._at_rest = at_rest
        self._moved = 0
        self._seen = 0
        self._watching = False

    def moved(self, count: int) -> None:
        """Bytes of a stream came through."""
        self._moved += count
        if not self._watching:
            self._watching = True
            self._look_later()

    def _look_later(self) -> None:
        self._seen = self._moved
        asyncio.get_running_loop().call_later(QUIET, self._look)

    def _look(self) -> None:
        if self._moved != self._seen:
            self._look_later()
            return
        self._watching = False
        if self._moved >= BULK_BYTES:
            self._moved = 0
            self._at_rest()
