"""Between a console port and the process that has it "open": eventd, over a unix socket.

The process connects with `unix-connect:PATH`:
- its connection opens the port, and its leaving closes it;
- its bytes wait in its socket while no host is there, as a port's write() gives EAGAIN then;
- when the host leaves it gets what that host had sent, then the end of the connection; what it writes until then is
  lost. The port stays open, as a device would: the process is expected back.

Unlike a device's, a host's coming is not told: the process may write its greeting before, and the host finds it.
"""

from __future__ import annotations

import select
import socket
from pathlib import Path

from tests.support.noguest.console import WRITE_BYTES, ConsolePort


class Bridge:
    """The bridge of one port.

    Args:
        port: the console's.
        path: where the process connects.
    """

    def __init__(self, port: ConsolePort, path: Path) -> None:
        self._port = port
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.setblocking(False)
        self._connection: socket.socket | None = None
        self._to_process = b""
        self._host_left = False

    def close(self) -> None:
        """Close the sockets; the port stays as it is."""
        self._disconnect()
        self._listener.close()

    def interest(self) -> tuple[socket.socket, int]:
        """The socket to poll, and for what."""
        if self._connection is None:
            return self._listener, select.POLLIN
        events = select.POLLRDHUP
        if self._to_process:
            events |= select.POLLOUT
        if self._may_send():
            events |= select.POLLIN
        return self._connection, events

    def ready(self, events: int) -> None:
        """Take what interest() was waiting for."""
        if self._connection is None:
            self._accept()
            return
        if events & select.POLLIN:
            self._take_from_process(self._connection)
        elif events & (select.POLLRDHUP | select.POLLHUP | select.POLLERR):
            self._process_left()

    def pass_on(self, filled: int, *, host_left: bool) -> None:
        """Pass on what came from the host, as far as the process takes it.

        Args:
            filled: how many buffers, of a host that is known.
            host_left: whether it left since the last call. If another came as well, no byte tells whose it is, and
                the process gets all of them with its next connection.
        """
        if host_left and self._connection is not None:
            self._host_left = True
            if not self._port.host:
                self._to_process += self._port.incoming.receive_some(filled)
        self._feed(filled)
        if self._host_left and not self._to_process:
            self._disconnect()

    def _feed(self, filled: int) -> None:
        while self._connection is not None:
            if not self._to_process and filled and not self._host_left:
                self._to_process = self._port.incoming.receive_some(1)
                filled -= 1
            if not self._to_process or not self._give_to_process(self._connection):
                return

    def _may_send(self) -> bool:
        return self._host_left or (self._port.host and self._port.outgoing.reclaim())

    def _accept(self) -> None:
        self._connection, _ = self._listener.accept()
        self._connection.setblocking(False)
        if not self._port.is_open:
            self._port.open()

    def _take_from_process(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(WRITE_BYTES)
        except ConnectionResetError:
            data = b""
        if not data:
            self._process_left()
        elif not self._host_left:
            self._port.outgoing.send(data)

    def _give_to_process(self, connection: socket.socket) -> bool:
        """Whether the process may take more."""
        try:
            taken = connection.send(self._to_process, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            self._process_left()
            return False
        self._to_process = self._to_process[taken:]
        return True

    def _process_left(self) -> None:
        self._disconnect()
        self._port.close()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._to_process = b""
        self._host_left = False
