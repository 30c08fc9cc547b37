"""Idleness on Wayland: ext-idle-notify, and org_kde_kwin_idle, which compositors had before it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from guestmux_session.desktop.errors import DisplayLost, DisplayUnavailable
from guestmux_session.desktop.wayland_connection import Proxy, WaylandConnection
from guestmux_session.desktop.wayland_protocols import EXT_IDLE, KDE_IDLE, SEAT
from guestmux_session.desktop.wayland_wire import Interface

_RELEASABLE_SEAT = 5


class WaylandIdle(ABC):
    """A compositor's notification. It begins to count when it is asked for, and tells nobody how far it is.

    Args:
        connection: to the compositor.
    """

    name: str
    interface: Interface

    def __init__(self, connection: WaylandConnection) -> None:
        self._connection = connection

    @classmethod
    def is_offered(cls, connection: WaylandConnection) -> bool:
        """Whether the compositor has the protocol."""
        return cls.interface.name in connection.globals

    async def follow(self, seconds: float, tell: Callable[[bool], None]) -> None:
        """Tell when the compositor does."""
        manager = self._connection.bind(self.interface, 1)
        seat = self._connection.bind(SEAT, _RELEASABLE_SEAT)
        if manager is None or seat is None:
            raise DisplayUnavailable("the compositor has no seat, or tells nobody when it is idle")
        notification = self.notification(manager, seat, int(seconds * 1000))
        notification.patient = True
        notification.on(
            idled=lambda: tell(True),
            idle=lambda: tell(True),
            resumed=lambda: tell(False),
        )
        try:
            tell(False)
            await self._connection.wait_lost()
        finally:
            self._release(notification, manager, seat)
        raise DisplayLost(f"lost the display server: {self._connection.lost_reason}")

    async def idle_for(self) -> float | None:
        """It does not tell."""
        return None

    @abstractmethod
    def notification(self, manager: Proxy, seat: Proxy, milliseconds: int) -> Proxy:
        """Ask for the notification."""

    def _release(self, notification: Proxy, manager: Proxy, seat: Proxy) -> None:
        """The connection may go on for others."""
        if self._connection.lost_reason is not None:
            return
        for proxy in (notification, manager):
            for request in proxy.interface.requests:
                if request.destroys:
                    proxy.ask(request.name)
        if seat.version >= _RELEASABLE_SEAT:
            seat.ask("release")


class ExtIdle(WaylandIdle):
    """ext-idle-notify-v1: sway from 1.8 on, KDE, labwc, Hyprland, COSMIC and others."""

    name = "wayland-ext"
    interface = EXT_IDLE[0]

    def notification(self, manager: Proxy, seat: Proxy, milliseconds: int) -> Proxy:
        """Its request."""
        return self._connection.create(manager, "get_idle_notification", milliseconds, seat)


class KdeIdle(WaylandIdle):
    """org_kde_kwin_idle: sway up to 1.8, and KDE of that time."""

    name = "wayland-kde"
    interface = KDE_IDLE[0]

    def notification(self, manager: Proxy, seat: Proxy, milliseconds: int) -> Proxy:
        """Its request."""
        return self._connection.create(manager, "get_idle_timeout", seat, milliseconds)
