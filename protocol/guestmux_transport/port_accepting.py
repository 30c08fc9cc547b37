"""Ports whose hosts come through a listening socket, one served at a time as in QEMU's chardev."""

from __future__ import annotations

import asyncio
import logging
import socket
from abc import abstractmethod
from collections import deque
from typing import Any, Final

from guestmux_protocol.addresses import PortAddress
from guestmux_transport.edge import Watch, edge_poller
from guestmux_transport.owned_pipe import owned_pipe
from guestmux_transport.pipe import Pipe
from guestmux_transport.pipe_errors import OpenError, open_error
from guestmux_transport.reopening import ReopeningPort, Sleep

HOSTS_AHEAD: Final = 8
"""Hosts accepted while another is served, where not all are let in; as many again wait in the kernel."""

logger = logging.getLogger(__name__)


class AcceptingPort(ReopeningPort):
    """Serves the next host once the one before is done with; the others wait in the kernel's backlog.

    Where not everybody is let in, connections are accepted as they come: who is refused takes nobody's place.

    Args:
        address: where the host is waited for.
        ahead: most connections accepted while a host is served.
        sleep: waits so many seconds; tests pass their own.
    """

    def __init__(self, address: PortAddress, *, ahead: int = 0, sleep: Sleep = asyncio.sleep) -> None:
        super().__init__(address, sleep=sleep)
        self._ahead = ahead
        self._early: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._watch: Watch | None = None
        self._waiting: deque[socket.socket] = deque()

    def open_now(self) -> None:
        """Listen before connections() is asked for, so that what fails is raised instead of tried again.

        Raises:
            OpenError: it cannot be had now.
        """
        self._early = self._listen()

    @abstractmethod
    def _listen(self) -> socket.socket:
        """Make the listening socket, non-blocking.

        Raises:
            OpenError: it cannot be had now.
        """

    def _refusal(self, peer: Any) -> str:
        """Why this peer is not let in, for the log; empty when it is.

        Args:
            peer: its address, as accept() gave it.
        """
        return ""

    async def _next_host(self) -> Pipe | None:
        listener = self._listener or self._start()
        while not self._closed:
            self._take_in(listener, self._ahead + 1)
            if self._waiting:
                return owned_pipe(str(self.address), self._waiting.popleft().detach())
            await self._wait_change()
        return None

    def _release(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        for listener in (self._listener, self._early, *self._waiting):
            if listener is not None:
                listener.close()

    def _start(self) -> socket.socket:
        listener, self._early = self._early or self._listen(), None
        try:
            self._watch = edge_poller().watch(listener.fileno(), lambda _: self._came(listener))
        except OSError as error:
            listener.close()
            raise open_error(self.address, error) from error
        self._listener = listener
        self._opened()
        return listener

    def _came(self, listener: socket.socket) -> None:
        try:
            self._take_in(listener, self._ahead)
        except OpenError as error:
            self._report(str(error))  # tried again when the next host is asked for
        self._changed.set()

    def _take_in(self, listener: socket.socket, most: int) -> None:
        """Accept who waits in the kernel's backlog, until so many wait here.

        Raises:
            OpenError: no descriptors are left.
        """
        while len(self._waiting) < most:
            try:
                connection, peer = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                raise open_error(self.address, error) from error
            self._admit(connection, peer)

    def _admit(self, connection: socket.socket, peer: Any) -> None:
        if refusal := self._refusal(peer):
            connection.close()
            logger.warning("%s: %s", self.address, refusal)
            return
        connection.settimeout(0)
        self._waiting.append(connection)
