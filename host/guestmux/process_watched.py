"""A process of guest-exec-live, however its output comes."""

from __future__ import annotations

import asyncio
import logging

import anyio

from guestmux.errors import GuestmuxError, RemoteError
from guestmux.process import CLOSE_TIMEOUT, Process

logger = logging.getLogger(__name__)


class WatchedProcess(Process):
    """See `Process`."""

    live = True
    _sender: asyncio.Task[None] | None = None

    def send_input(self, data: bytes) -> None:
        """Send all its input, and end it, beside what else is done."""
        self._sender = asyncio.create_task(self._send(data), name=f"guestmux input of process {self.pid}")

    async def _send(self, data: bytes) -> None:
        try:
            await self.stdin.send(data)
            await self.stdin.aclose()
        except (GuestmuxError, RemoteError) as error:
            # A process need not read its input; what else may be wrong, whoever reads the output is told.
            logger.debug("process %s: input: %s", self.pid, error)

    async def _forget(self) -> None:
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait([self._sender])
        with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
            try:
                await self._guest.call("guest-exec-close", pid=self.pid, timeout=CLOSE_TIMEOUT)
            except (GuestmuxError, RemoteError) as error:
                logger.debug("process %s: %s", self.pid, error)
