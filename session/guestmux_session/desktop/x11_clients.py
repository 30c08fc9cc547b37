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

    async def pid(self, window: int) -> int:
        """The process that made a window; 0: the server cannot tell.

        Raises:
            RequestRefused: the window is gone.
            DisplayLost: the connection ended.
        """
        if self._opcode is None:
            return 0
        body = struct.pack("<III", 1, window, _LOCAL_CLIENT_PID)
        reply = await self._connection.ask(request(self._opcode, _QUERY_CLIENT_IDS, body))
        (count,) = struct.unpack_from("<I", reply, 8)
        # Each answer: the client, which kind of id, its bytes, the id.
        return int(struct.unpack_from("<I", reply, 44)[0]) if count and len(reply) >= 48 else 0
