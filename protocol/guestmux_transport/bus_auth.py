"""The handshake before the first message: who we are, and that file descriptors may be passed.

Source: D-Bus specification, "Authentication Protocol".
"""

import asyncio
import os
import socket

from guestmux_transport.errors import BusUnavailable

# A server's line is "OK" and a 32 digit id; libdbus allows itself 16 KiB, nobody uses it.
MAX_LINE_BYTES = 1024


async def authenticate(sock: socket.socket) -> bytes:
    """Authenticate with EXTERNAL (the kernel tells the bus our uid) and negotiate descriptors.

    Bound it in time from outside: a bus may stay silent for ever.

    Returns:
        What the bus sent beyond its last line.

    Raises:
        BusUnavailable: the bus refused, closed, or does not speak the protocol.
    """
    talk = _Talk(sock)
    try:
        uid = str(os.getuid()).encode("ascii").hex().encode("ascii")
        answer = await talk.ask(b"\0AUTH EXTERNAL " + uid)
        if answer.split(b" ")[0] != b"OK":
            raise BusUnavailable(f"the bus refused user {os.getuid()}: {answer.decode('ascii', 'replace')}")
        answer = await talk.ask(b"NEGOTIATE_UNIX_FD")
        if answer != b"AGREE_UNIX_FD":
            raise BusUnavailable("the bus passes no file descriptors")
        await talk.say(b"BEGIN")
    except OSError as error:
        raise BusUnavailable(
            f"the bus closed during authentication: {os.strerror(error.errno or 0)}"
        ) from error
    return talk.rest


class _Talk:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self.rest = b""

    async def ask(self, line: bytes) -> bytes:
        await self.say(line)
        while b"\r\n" not in self.rest:
            if len(self.rest) > MAX_LINE_BYTES:
                raise BusUnavailable(
                    f"the bus sent a line of more than {MAX_LINE_BYTES} bytes during authentication"
                )
            data = await self._loop.sock_recv(self._sock, MAX_LINE_BYTES)
            if not data:
                raise BusUnavailable("the bus closed during authentication")
            self.rest += data
        answer, _, self.rest = self.rest.partition(b"\r\n")
        return answer

    async def say(self, line: bytes) -> None:
        await self._loop.sock_sendall(self._sock, line + b"\r\n")
