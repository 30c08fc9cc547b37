"""Windows on a real X server as no good program makes them, listed as a window manager would."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from guestmux_session.desktop.x11_connection import X11Connection, connect_x11
from guestmux_session.desktop.x11_wire import get_input_focus, padded, request
from tests.support.x_server import XServer

_STRING, _CARDINAL, _WINDOW = 31, 6, 33
MAX_REQUEST_BYTES = 200_000
"""Bytes of one ChangeProperty: without BIG-REQUESTS a request has at most 256 KiB."""


class Windows:
    """A client that is its own window manager."""

    def __init__(self, connection: X11Connection) -> None:
        self._connection = connection
        self._root = connection.setup.root
        self._last = connection.setup.id_base
        self.open: list[int] = []

    @classmethod
    async def on(cls, server: XServer) -> Windows:
        environment = server.environment
        windows = cls(await connect_x11(environment["DISPLAY"], environment["XAUTHORITY"]))
        await windows.list()
        return windows

    async def make(self, wm_class: bytes, **properties: bytes) -> int:
        """Make a window with these properties; it is not listed yet."""
        self._last += 1
        body = struct.pack("<IIhhHHHHII", self._last, self._root, 0, 0, 1, 1, 0, 1, 0, 0)
        self._connection.tell(request(1, 0, body))
        await self.put(self._last, "WM_CLASS", wm_class)
        for name, value in properties.items():
            await self.put(self._last, name, value)
        self.open.append(self._last)
        return self._last

    async def put(self, window: int, name: str, value: bytes, kind: int = _STRING, bits: int = 8) -> None:
        """Set a property, however long."""
        atom = (await self._connection.atoms(name))[name]
        for start in range(0, len(value) or 1, MAX_REQUEST_BYTES):
            part = value[start : start + MAX_REQUEST_BYTES]
            head = struct.pack("<IIIBxxxI", window, atom, kind, bits, len(part) * 8 // bits)
            self._connection.tell(request(18, 2 if start else 0, head + padded(part)))

    async def claim_pid(self, window: int, pid: int) -> None:
        await self.put(window, "_NET_WM_PID", struct.pack("<I", pid), _CARDINAL, 32)

    def destroy(self, window: int) -> None:
        self._connection.tell(request(4, 0, struct.pack("<I", window)))
        self.open.remove(window)

    async def list(self, windows: Iterable[int] | None = None) -> None:
        """Tell everybody which there are."""
        listed = self.open if windows is None else [*windows]
        await self.put(self._root, "_NET_CLIENT_LIST", struct.pack(f"<{len(listed)}I", *listed), _WINDOW, 32)

    async def activate(self, window: int) -> None:
        await self.put(self._root, "_NET_ACTIVE_WINDOW", struct.pack("<I", window), _WINDOW, 32)

    async def settled(self) -> None:
        """Wait until the server has done all of it."""
        await self._connection.ask(get_input_focus())

    def close(self) -> None:
        self._connection.close()
