"""The port `unix-connect:PATH`: the host listens; we connect, and connect again when the host went."""

from __future__ import annotations

import asyncio

from guestmux_protocol.addresses import UnixConnect
from guestmux_transport.owned_pipe import connect_unix
from guestmux_transport.pipe import Pipe
from guestmux_transport.reopening import ReopeningPort, Sleep


class UnixConnectPort(ReopeningPort):
    """Pauses before each connection but the first, longer and longer while the host says nothing."""

    def __init__(self, address: UnixConnect, *, sleep: Sleep = asyncio.sleep) -> None:
        super().__init__(address, sleep=sleep)
        self._path = address.path
        self._must_pause = False

    async def _next_host(self) -> Pipe | None:
        if self._must_pause:
            self._must_pause = self._is_open = False
            await self._back_off()
            if self._closed:
                return None
        pipe = connect_unix(str(self.address), self._path)
        self._must_pause = True
        self._opened()
        return pipe

    def _release(self) -> None:
        """Nothing: the pipe owns the only descriptor."""
