"""Whether an X server has a window manager that lists its windows (Extended Window Manager Hints 1.5)."""

from __future__ import annotations

from guestmux_session.desktop import x11_wire as x11
from guestmux_session.desktop.clipboard_source import wait_until
from guestmux_session.desktop.x11_connection import X11Connection
from guestmux_session.desktop.x11_selection_wire import word
from guestmux_session.pulse import Pulse

_NAME = "_NET_CLIENT_LIST"
_NEW_VALUE = 0


class WindowList:
    """The list on one connection.

    Args:
        connection: to the X server.
    """

    def __init__(self, connection: X11Connection) -> None:
        self._connection = connection
        self._atom = 0
        self._come = False
        self._changed = Pulse()

    async def is_there(self) -> bool:
        """Whether somebody keeps it, though it be empty. Raises DisplayError."""
        self._atom = (await self._connection.atoms(_NAME))[_NAME]
        found = await self._connection.property(self._connection.setup.root, self._atom, 0)
        return found.type != 0

    async def wait(self) -> None:
        """Wait until somebody keeps it, or the connection ends. Raises DisplayError."""
        connection = self._connection
        connection.listen(x11.PROPERTY_NOTIFY, self._on_property, patient=True)
        connection.select_root(x11.PROPERTY_CHANGE_MASK)
        try:
            if not await self.is_there():
                await wait_until(lambda: self._come, self._changed, connection)
        finally:
            connection.unselect_root(x11.PROPERTY_CHANGE_MASK)
            connection.unlisten(x11.PROPERTY_NOTIFY, self._on_property)

    def _on_property(self, event: bytes) -> None:
        if (word(event, 8), event[16]) == (self._atom, _NEW_VALUE):
            self._come = True
            self._changed.beat()
