"""Idleness on X servers without IDLETIME: their own screen saver (X11 Screen Saver Extension, MIT-SCREEN-SAVER)."""

from __future__ import annotations

import struct
from collections.abc import Callable

from guestmux_session.desktop.errors import DisplayLost, DisplayUnavailable
from guestmux_session.desktop.sync_wire import first_event_of
from guestmux_session.desktop.x11_connection import X11Connection
from guestmux_session.desktop.x11_wire import extension_of, query_extension, request

EXTENSION = "MIT-SCREEN-SAVER"

_QUERY_INFO, _SELECT_INPUT = 1, 2
_NOTIFY_MASK = 1
_ON = 1


class XssIdle:
    """Idle is when the server's screen saver is on; after how many seconds, `xset s` says.

    Args:
        connection: to the X server.
    """

    name = "x11-xss"

    def __init__(self, connection: X11Connection) -> None:
        self._x11 = connection

    async def follow(self, seconds: float, tell: Callable[[bool], None]) -> None:
        """Tell when the screen saver goes on and off, whatever the threshold."""
        del seconds
        major, code = await self._find()
        root = self._x11.setup.root

        def on_notify(event: bytes) -> None:
            tell(event[1] == _ON)

        self._x11.listen(code, on_notify, patient=True)
        try:
            self._x11.tell(request(major, _SELECT_INPUT, struct.pack("<II", root, _NOTIFY_MASK)))
            info = await self._info(major)
            tell(info[1] == _ON)
            await self._x11.wait_lost()
        finally:
            self._x11.unlisten(code, on_notify)
            if self._x11.lost_reason is None:
                self._x11.tell(request(major, _SELECT_INPUT, struct.pack("<II", root, 0)))
        raise DisplayLost(f"lost the display server: {self._x11.lost_reason}")

    async def idle_for(self) -> float | None:
        """What the server counts."""
        major, _code = await self._find()
        (milliseconds,) = struct.unpack_from("<I", await self._info(major), 16)
        return float(milliseconds) / 1000

    async def _info(self, major: int) -> bytes:
        return await self._x11.ask(request(major, _QUERY_INFO, struct.pack("<I", self._x11.setup.root)))

    async def _find(self) -> tuple[int, int]:
        """The extension's opcode, and its event."""
        found = await self._x11.ask(query_extension(EXTENSION))
        major = extension_of(found)
        if major is None:
            raise DisplayUnavailable("the X server has neither IDLETIME nor MIT-SCREEN-SAVER")
        return major, first_event_of(found)
