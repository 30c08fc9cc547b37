"""The clipboards of a Wayland compositor by data control, what its two protocols have in common: all but the names."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from guestmux_protocol.clipboard_commands import Selection
from guestmux_session.desktop.clipboard_formats import Content, Offered
from guestmux_session.desktop.clipboard_source import NotOffered, OwnerFailed
from guestmux_session.desktop.errors import DisplayLost
from guestmux_session.desktop.fd_pipes import read_pipe
from guestmux_session.desktop.wayland_connection import WaylandConnection
from guestmux_session.desktop.wayland_device import Offer, WaylandDevice
from guestmux_session.desktop.wayland_source import WaylandSource
from guestmux_session.desktop.wayland_wire import Interface


class WaylandClipboard:
    """The clipboards of a compositor.

    Args:
        connection: to it.
    """

    name: str
    manager: Interface

    def __init__(self, connection: WaylandConnection) -> None:
        self._connection = connection

    @classmethod
    def is_offered(cls, connection: WaylandConnection) -> bool:
        """Whether the compositor has the protocol."""
        return cls.manager.name in connection.globals

    async def offered(self, selection: Selection) -> Offered:
        """What the compositor says that there is."""
        async with self._device() as device:
            offer = device.current[selection]
            return offer.offered if offer is not None else Offered()

    async def read(self, selection: Selection, name: str) -> AsyncGenerator[bytes, None]:
        """Have its program write it into a pipe."""
        async with self._device() as device:
            offer = device.current[selection]
            if offer is None or name not in offer.names:
                raise NotOffered("there is no content in that format")
            async with aclosing(read_pipe(_receive(offer, name))) as pieces:
                async for piece in pieces:
                    yield piece
            # A program that ends closes the pipe as one that has written all of it does.
            await self._connection.sync()
            if device.current[selection] is not offer:
                raise OwnerFailed(
                    "the content was replaced, or its program ended, before all of it was sure to be there"
                )

    async def hold(self, selection: Selection, content: Content) -> WaylandSource:
        """Make a source of it."""
        device = self._device()
        try:
            await device.open()
            source = WaylandSource(self._connection, device, content)
        except BaseException:
            device.close()
            raise
        try:
            await source.take(selection)
        except BaseException:
            source.release()
            raise
        return source

    async def clear(self, selection: Selection) -> None:
        """Put nothing in."""
        async with self._device() as device:
            device.put(selection, None)
            await self._connection.sync()

    async def follow(self, changed: Callable[[Selection], None]) -> None:
        """Hear of it from a device."""
        async with self._device() as device:
            device.on_change = changed
            await self._connection.wait_lost()
        raise DisplayLost(f"lost the Wayland compositor: {self._connection.lost_reason}")

    def _device(self) -> WaylandDevice:
        return WaylandDevice(self._connection, self.manager)


def _receive(offer: Offer, name: str) -> int:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        os.set_blocking(reading, False)
        offer.proxy.ask("receive", name, writing)
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    return reading
