"""Ports whose hosts come through a listening socket, one served at a time as in QEMU's chardev."""

from __future__ import annotations

import asyncio
import socket
from abc import abstractmethod

from guestmux_protocol.addresses import PortAddress
from guestmux_transport.edge import Watch, edge_poller
from guestmux_transport.owned_pipe import owned_pipe
from guestmux_transport.pipe import Pipe
from guestmux_transport.pipe_errors import open_error
from guestmux_transport.reopening import ReopeningPort, Sleep


class AcceptingPort(ReopeningPort):
    """Accepts the next host once the one before is done with; the others wait in the kernel's backlog."""

    def __init__(self, address: PortAddress, *, sleep: Sleep = asyncio.sleep) -> None:
        super().__init__(address, sleep=sleep)
        self._early: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._watch: Watch | None = None

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

    async def _next_host(self) -> Pipe | None:
        listener = self._listener or self._start()
        while not self._closed:
            connection = self._accept(listener)
            if connection is not None:
                return owned_pipe(str(self.address), connection.detach())
            await self._wait_change()
        return None

    def _release(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        for listener in (self._listener, self._early):
            if listener is not None:
                listener.close()

    def _start(self) -> socket.socket:
        listener, self._early = self._early or self._listen(), None
        try:
            self._watch = edge_poller().watch(listener.fileno(), lambda _: self._changed.set())
        except OSError as error:
            listener.close()
            raise open_error(self.address, error) from error
        self._listener = listener
        self._opened()
        return listener

    def _accept(self, listener: socket.socket) -> socket.socket | None:
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return None
        except OSError as error:
            raise open_error(self.address, error) from error
        connection.settimeout(0)
        return connection
