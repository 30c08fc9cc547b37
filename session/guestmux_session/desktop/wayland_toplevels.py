"""Windows as Wayland compositors list them; what the two protocols for that have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from guestmux_session.desktop.app_source import MAX_TITLE, refresh_on_change
from guestmux_session.desktop.app_table import MAX_WINDOWS, AppRef, AppTable
from guestmux_session.desktop.desktop_entries import MAX_TEXT, DesktopEntries
from guestmux_session.desktop.errors import DisplayUnavailable
from guestmux_session.desktop.texts import one_line
from guestmux_session.desktop.wayland_connection import Proxy, WaylandConnection
from guestmux_session.desktop.wayland_wire import Interface
from guestmux_session.pulse import Pulse


@dataclass(eq=False)
class Toplevel:
    """A window.

    Attributes:
        proxy: the compositor's handle.
        complete: all was told of it once.
    """

    proxy: Proxy
    title: str = ""
    app_id: str = ""
    active: bool = False
    complete: bool = False


class WaylandToplevels(ABC):
    """The applications of a compositor. Wayland tells no processes: all windows of an id are one application.

    Args:
        connection: to it.
        entries: what is installed.
        environment: the session's variables.
    """

    name: str
    has_windows = True
    interface: Interface
    version: int

    def __init__(
        self, connection: WaylandConnection, entries: DesktopEntries, environment: Mapping[str, str]
    ) -> None:
        self._connection = connection
        self._entries = entries
        self._environment = environment
        self._changed = Pulse()
        self._manager: Proxy | None = None
        self._windows: dict[int, Toplevel] = {}
        self._truncated = False

    @classmethod
    def offered(cls, connection: WaylandConnection) -> bool:
        """Whether the compositor has the protocol."""
        return cls.interface.name in connection.globals

    async def load(self, table: AppTable) -> None:
        """Enter the windows that there are."""
        self._manager = self._connection.bind(self.interface, self.version)
        if self._manager is None:
            raise DisplayUnavailable(f"the compositor has no {self.interface.name}")
        self._manager.patient = True
        self._manager.on(toplevel=self._on_toplevel)
        await self._connection.sync()
        await self._refresh(table)

    async def follow(self, table: AppTable) -> None:
        """Enter what changes."""
        await refresh_on_change(self._changed, lambda: self._refresh(table), self._connection)

    def stop(self) -> None:
        """Hear of windows no more; the connection goes on."""
        if self._manager is None or self._connection.lost_reason is not None:
            return
        self._manager.ask("stop")
        # Windows that come before the compositor has read that.
        self._manager.on(toplevel=lambda proxy: proxy.ask("destroy"))
        for window in self._windows.values():
            window.proxy.ask("destroy")
        self._windows.clear()

    async def title(self, window: Hashable) -> str:
        """What stands in its title bar."""
        return window.title if isinstance(window, Toplevel) else ""

    @abstractmethod
    async def focus(self, window: Hashable) -> None:
        """Give a window the keyboard."""

    @abstractmethod
    async def close(self, window: Hashable) -> None:
        """Ask a window to close."""

    def has(self, window: Hashable) -> TypeGuard[Toplevel]:
        """Whether it is there; a request to one that is gone would end the connection."""
        return isinstance(window, Toplevel) and self._windows.get(window.proxy.id) is window

    def _on_toplevel(self, proxy: Proxy) -> None:
        if len(self._windows) >= MAX_WINDOWS:
            self._truncated = True
            proxy.ask("destroy")
            return
        window = self._windows[proxy.id] = Toplevel(proxy)
        self.listen(window)

    def listen(self, window: Toplevel) -> None:
        """Hear of a window's changes."""

        def set_title(untrusted_title: str | None) -> None:
            window.title = one_line(untrusted_title or "", MAX_TITLE)

        def set_app_id(untrusted_app_id: str | None) -> None:
            window.app_id = one_line(untrusted_app_id or "", MAX_TEXT)

        window.proxy.patient = True
        window.proxy.on(
            title=set_title,
            app_id=set_app_id,
            done=lambda: self._on_done(window),
            closed=lambda: self._on_closed(window),
        )

    def _on_done(self, window: Toplevel) -> None:
        window.complete = True
        self._changed.beat()

    def _on_closed(self, window: Toplevel) -> None:
        del self._windows[window.proxy.id]
        window.proxy.ask("destroy")
        self._changed.beat()

    async def _refresh(self, table: AppTable) -> None:
        if any(window not in table for window in self._windows.values()):
            await self._entries.refresh(self._environment)
        # By the object: the compositor gives a handle's number again.
        for gone in table.windows.difference(self._windows.values()):
            table.closed(gone)
        active = None
        for window in self._windows.values():
            if window.complete:
                table.opened(window, self._app_of(window))
                active = window if window.active else active
        table.focus(active)
        table.truncated = self._truncated

    def _app_of(self, window: Toplevel) -> AppRef:
        entry = self._entries.of_window(window.app_id)
        app_id = window.app_id or "unknown"
        return AppRef(entry.app_id, entry.name) if entry else AppRef(app_id, app_id)
