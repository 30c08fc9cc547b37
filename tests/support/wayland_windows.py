"""Windows on a real Wayland compositor as no good program makes them (wayland.xml, xdg-shell.xml)."""

from __future__ import annotations

import os
from pathlib import Path

from guestmux_session.desktop.wayland_connection import Proxy, WaylandConnection, connect_wayland
from guestmux_session.desktop.wayland_protocols import INTERFACES
from guestmux_session.desktop.wayland_wire import Interface, Message
from tests.support.sway import Sway

SIDE, PIXEL_BYTES, ARGB = 16, 4, 0

COMPOSITOR = Interface("wl_compositor", requests=(Message("create_surface", "n", "wl_surface"),))

SURFACE = Interface(
    "wl_surface",
    requests=(
        Message("destroy", destroys=True),
        Message("attach", "oii"),
        Message("damage", "iiii"),
        Message("frame", "n", "wl_callback"),
        Message("set_opaque_region", "o"),
        Message("set_input_region", "o"),
        Message("commit"),
    ),
    events=(Message("enter", "o"), Message("leave", "o")),
)

SHM = Interface(
    "wl_shm", requests=(Message("create_pool", "nhi", "wl_shm_pool"),), events=(Message("format", "u"),)
)

POOL = Interface("wl_shm_pool", requests=(Message("create_buffer", "niiiiu", "wl_buffer"),))

BUFFER = Interface("wl_buffer", events=(Message("release"),))

BASE = Interface(
    "xdg_wm_base",
    requests=(
        Message("destroy", destroys=True),
        Message("create_positioner", "n"),
        Message("get_xdg_surface", "no", "xdg_surface"),
        Message("pong", "u"),
    ),
    events=(Message("ping", "u"),),
)

XDG_SURFACE = Interface(
    "xdg_surface",
    requests=(
        Message("destroy", destroys=True),
        Message("get_toplevel", "n", "xdg_toplevel"),
        Message("get_popup", "noo"),
        Message("set_window_geometry", "iiii"),
        Message("ack_configure", "u"),
    ),
    events=(Message("configure", "u"),),
)

TOPLEVEL = Interface(
    "xdg_toplevel",
    requests=(
        Message("destroy", destroys=True),
        Message("set_parent", "o"),
        # Strings, which are the same on the wire, but of any bytes.
        Message("set_title", "a"),
        Message("set_app_id", "a"),
    ),
    events=(Message("configure", "iia"), Message("close"), Message("configure_bounds", "ii")),
)

INTERFACES |= {one.name: one for one in (SURFACE, POOL, BUFFER, XDG_SURFACE, TOPLEVEL)}


class Window:
    """One window."""

    def __init__(self, connection: WaylandConnection, surface: Proxy, shell: Proxy, toplevel: Proxy) -> None:
        self._connection = connection
        self._objects = (toplevel, shell, surface)

    def title(self, text: bytes) -> None:
        self._objects[0].ask("set_title", text + b"\0")

    def close(self) -> None:
        for proxy in self._objects:
            proxy.ask("destroy")


class Windows:
    """A client with as many windows as one likes."""

    def __init__(self, connection: WaylandConnection) -> None:
        self._connection = connection
        self._compositor = self._bound(COMPOSITOR)
        self._base = self._bound(BASE)
        self._base.on(ping=self._pong)
        self._buffer = self._new_buffer()

    @classmethod
    async def on(cls, compositor: Sway) -> Windows:
        environment = compositor.environment
        path = Path(environment["XDG_RUNTIME_DIR"], environment["WAYLAND_DISPLAY"])
        return cls(await connect_wayland(path))

    def open(self, app_id: bytes, title: bytes = b"") -> Window:
        """Open one; `settled` waits until it is there."""
        surface = self._connection.create(self._compositor, "create_surface")
        shell = self._connection.create(self._base, "get_xdg_surface", surface)
        toplevel = self._connection.create(shell, "get_toplevel")
        window = Window(self._connection, surface, shell, toplevel)
        toplevel.ask("set_app_id", app_id + b"\0")
        window.title(title)
        shell.on(configure=lambda serial: self._show(surface, shell, serial))
        surface.ask("commit")
        return window

    async def settled(self) -> None:
        """Wait until the compositor has done all of it."""
        # What it answers to the first leads to more.
        await self._connection.sync()
        await self._connection.sync()

    def close(self) -> None:
        self._connection.close()

    def _pong(self, serial: int) -> None:
        self._base.ask("pong", serial)

    def _show(self, surface: Proxy, shell: Proxy, serial: int) -> None:
        shell.ask("ack_configure", serial)
        surface.ask("attach", self._buffer, 0, 0)
        surface.ask("commit")

    def _new_buffer(self) -> Proxy:
        size = SIDE * SIDE * PIXEL_BYTES
        fd = os.memfd_create("window")
        try:
            os.truncate(fd, size)
            pool = self._connection.create(self._bound(SHM), "create_pool", fd, size)
        finally:
            os.close(fd)
        return self._connection.create(pool, "create_buffer", 0, SIDE, SIDE, SIDE * PIXEL_BYTES, ARGB)

    def _bound(self, interface: Interface) -> Proxy:
        proxy = self._connection.bind(interface, 1)
        assert proxy is not None
        return proxy
