"""What all ports have in common: they give host after host, and a broken one is tried again, ever more slowly."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from guestmux_protocol.addresses import PortAddress
from guestmux_transport.pipe import Pipe
from guestmux_transport.pipe_errors import OpenError

FIRST_DELAY: Final = 0.1
"""Seconds before the first new attempt: a host may have restarted by then, and nobody notices."""

LONGEST_DELAY: Final = 5.0
"""Seconds between attempts in the end; qemu-ga's --retry-path waits as long."""

Sleep = Callable[[float], Awaitable[object]]
logger = logging.getLogger(__name__)


class ReopeningPort(ABC):
    """A port; its children say how a host comes (`_next_host`) and what there is to let go of (`_release`).

    Args:
        address: where the host is waited for.
        sleep: waits so many seconds; tests pass their own.
    """

    def __init__(self, address: PortAddress, *, sleep: Sleep = asyncio.sleep) -> None:
        self.address = address
        self._sleep = sleep
        self._delay = FIRST_DELAY
        self._pipe: Pipe | None = None
        self._closed = False
        self._is_open = False
        self._changed = asyncio.Event()
        self._last_report = ""

    def __repr__(self) -> str:
        return f"<Port {self.address} {self.state}>"

    @property
    def state(self) -> str:
        """`OPEN` with a host, `WAITING` for one, `BROKEN` (not opened, or reopening), or `CLOSED`."""
        if self._closed:
            return "CLOSED"
        if self._pipe is not None and not self._pipe.gone:
            return "OPEN"
        return "WAITING" if self._is_open else "BROKEN"

    async def connections(self) -> AsyncIterator[Pipe]:
        """Give the hosts, one at a time and for ever; asking for the next closes the one before.

        A port that cannot be opened, or broke, is tried again after FIRST_DELAY seconds, doubling up to
        LONGEST_DELAY. Each reason is logged once, as long as it stays the same. Ends when the port is closed, or
        is an inherited descriptor that can bring no host any more.
        """
        while not self._closed:
            try:
                pipe = await self._next_host()
            except OpenError as error:
                self._is_open = False
                self._report(str(error))
                await self._back_off()
                continue
            if pipe is None:
                return
            yield self._begin(pipe)
            self._end(pipe)

    def close(self) -> None:
        """Close the port and the current host's pipe; connections() ends."""
        if self._closed:
            return
        self._closed = True
        if self._pipe is not None:
            self._pipe.close()
        self._release()
        self._changed.set()

    @abstractmethod
    async def _next_host(self) -> Pipe | None:
        """Wait for a host, opening what is not open; None when none can come any more.

        Raises:
            OpenError: the port is broken; called again after a pause.
        """

    @abstractmethod
    def _release(self) -> None:
        """Close every descriptor that no pipe owns."""

    def _begin(self, pipe: Pipe) -> Pipe:
        self._pipe = pipe
        return pipe

    def _end(self, pipe: Pipe) -> None:
        pipe.close()
        self._pipe = None
        if pipe.received:
            self._delay = FIRST_DELAY

    def _opened(self) -> None:
        self._is_open = True
        self._last_report = ""
        logger.info("%s: open", self.address)

    def _report(self, text: str) -> None:
        if text != self._last_report:
            self._last_report = text
            logger.warning("%s", text)

    async def _back_off(self) -> None:
        delay = self._delay
        self._delay = min(2 * delay, LONGEST_DELAY)
        await self._sleep(delay)

    async def _wait_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
