"""Whose a window is, as the X server knows it itself: the X-Resource extension (XRes 1.2, resproto.txt)."""

from __future__ import annotations

import struct

from guestmux_session.desktop.errors import RequestRefused
from guestmux_session.desktop.x11_connection import X11Connection
from guestmux_session.desktop.x11_wire import extension_of, query_extension, request

_QUERY_VERSION, _QUERY_CLIENT_IDS = 0, 4
_LOCAL_CLIENT_PID = 2


class X11Clients:
    """The processes of windows. A window may claim any process in _NET_WM_PID; here the kernel has said which it is."""

    def __init__(self, connection: X11Connection) -> None:
        self._connection = connection
        self._opcode: int | None = None

    async def start(self) -> None:
        """Find out whether the server can tell. Raises DisplayLost."""
        opcode = extension_of(await self._connection.ask(query_extension("X-Resource")))
        if opcode is None:
            return
        try:
            reply = await self._connection.ask(request(opcode, _QUERY_VERSION, struct.pack("<BBxx", 1, 2)))
        except RequestRefused:
            return
        if struct.unpack_from("<HH", reply, 8) >= (1, 2):
            self._opcode = opcode

    def questions(self, *windows: int) -> list[bytes]:
        """A request for each window, whose answer `pid_of` reads; none where the server cannot tell."""
        if self._opcode is None:
            return []
        bodies = (struct.pack("<III", 1, window, _LOCAL_CLIENT_PID) for window in windows)
        return [request(self._opcode, _QUERY_CLIENT_IDS, body) for body in bodies]


def pid_of(*replies: bytes) -> int:
    """The process that made a window, by the answer if there is one; 0: the server cannot tell."""
    for reply in replies:
        (count,) = struct.unpack_from("<I", reply, 8)
        # Each answer: the client, which kind of id, its bytes, the id.
        if count and len(reply) >= 48:
            return int(struct.unpack_from("<I", reply, 44)[0])
    return 0
