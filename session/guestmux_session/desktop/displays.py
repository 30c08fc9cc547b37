"""Which desktop the session has, and the agent's connections to it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from guestmux_session.desktop.errors import DisplayUnavailable
from guestmux_session.desktop.shared import Shared
from guestmux_session.desktop.wayland_connection import WaylandConnection, connect_wayland
from guestmux_session.desktop.x11_connection import X11Connection, connect_x11
from guestmux_session.info_environment import DisplayServer, display_server


@dataclass(frozen=True)
class Desktop:
    """What shows the session's windows.

    Attributes:
        kind: `x11`, `wayland`, or `none`.
        environment: the session's variables.
    """

    kind: DisplayServer
    environment: Mapping[str, str]

    @property
    def wayland_socket(self) -> Path:
        """The compositor's socket, as libwayland finds it; the first that there is where no variable says."""
        runtime = Path(self.environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
        if name := self.environment.get("WAYLAND_DISPLAY"):
            return runtime / name
        return min(runtime.glob("wayland-[0-9]"), default=runtime / "wayland-0")


class Displays:
    """The display servers' connections, one of each kind, open while somebody uses them.

    Which servers these are is found anew for each connection: the desktop may come after the agent, and come back
    elsewhere.

    Args:
        environment: gives the session's variables.
        session_type: gives logind's type of the session; empty where it does not know.
    """

    def __init__(
        self,
        environment: Callable[[], Awaitable[Mapping[str, str]]],
        session_type: Callable[[], Awaitable[str]],
    ) -> None:
        self._environment = environment
        self._session_type = session_type
        self._x11 = Shared(self._connect_x11)
        self._wayland = Shared(self._connect_wayland)
        self._wayland_data = Shared(self._connect_wayland)

    def __repr__(self) -> str:
        return f"<Displays {self._x11!r} {self._wayland!r}>"

    async def find(self) -> Desktop:
        """Find out which desktop there is now."""
        environment = await self._environment()
        kind = display_server(environment, await self._session_type())
        if kind == "x11" and not environment.get("DISPLAY"):
            # The session is X's, but its desktop has told the user's systemd nothing yet.
            kind = "none"
        return Desktop(kind, environment)

    def x11(self) -> AbstractAsyncContextManager[X11Connection]:
        """The connection to the X server, for as long as a block lasts.

        Raises:
            DisplayUnavailable: there is none, or it refuses.
        """
        return self._x11.use()

    def wayland(self) -> AbstractAsyncContextManager[WaylandConnection]:
        """The connection to the Wayland compositor, for as long as a block lasts.

        Raises:
            DisplayUnavailable: there is none, or it does not answer.
        """
        return self._wayland.use()

    def wayland_data(self) -> AbstractAsyncContextManager[WaylandConnection]:
        """Another one, for clipboards alone.

        A program that offers ten thousand formats has the compositor end the connections of all who hear of them
        (libwayland before 1.23: when some 200 KiB have not been read), and with them everything else on these.

        Raises:
            DisplayUnavailable: as `wayland`.
        """
        return self._wayland_data.use()

    async def _connect_x11(self) -> X11Connection:
        environment = (await self.find()).environment
        display = environment.get("DISPLAY", "")
        if not display:
            raise DisplayUnavailable("the session has no DISPLAY")
        return await connect_x11(display, environment.get("XAUTHORITY", ""))

    async def _connect_wayland(self) -> WaylandConnection:
        return await connect_wayland((await self.find()).wayland_socket)
