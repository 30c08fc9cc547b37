"""A content that the agent has put into a Wayland compositor's clipboard: it is given to every program that asks."""

from __future__ import annotations

from guestmux_protocol.clipboard_commands import Selection
from guestmux_session.desktop.clipboard_formats import Content, names_of
from guestmux_session.desktop.clipboard_source import wait_until
from guestmux_session.desktop.fd_pipes import PipeWriter
from guestmux_session.desktop.wayland_connection import WaylandConnection
from guestmux_session.desktop.wayland_device import WaylandDevice
from guestmux_session.pulse import Pulse

MAX_WRITES = 16
"""Programs that are given a content at a time; the one that began first is given up for one more."""


class WaylandSource:
    """A content, while it is there; made by `take`.

    Args:
        connection: to the compositor.
        device: this one's own, open; closed with it.
        content: what is given.
    """

    def __init__(self, connection: WaylandConnection, device: WaylandDevice, content: Content) -> None:
        self._connection = connection
        self._device = device
        self._content = content
        self._proxy = device.source()
        self._writers: dict[PipeWriter, None] = {}
        self._cancelled = False
        self._changed = Pulse()

    def __repr__(self) -> str:
        return f"<WaylandSource {self._content.format} {'THERE' if self.alive else 'GONE'}>"

    @property
    def alive(self) -> bool:
        """Whether it is still what is there."""
        return not self._cancelled and self._connection.lost_reason is None

    async def take(self, selection: Selection) -> None:
        """Put it in. Raises DisplayError."""
        self._proxy.on(send=self._on_send, cancelled=self._on_cancelled)
        for name in names_of(self._content):
            self._proxy.ask("offer", name)
        self._device.put(selection, self._proxy)
        await self._connection.sync()

    async def wait_over(self) -> None:
        """Wait until another is in its place and nobody takes it any more, or the connection has ended."""
        await wait_until(lambda: self._cancelled and not self._writers, self._changed, self._connection)

    def release(self) -> None:
        """Have it no more."""
        for writer in [*self._writers]:
            writer.close()
        if self._connection.lost_reason is None:
            self._proxy.ask("destroy")
        self._device.close()

    def _on_send(self, _untrusted_name: str | None, fd: int) -> None:
        while len(self._writers) >= MAX_WRITES:
            next(iter(self._writers)).close()
        self._writers[PipeWriter(fd, self._content.data, self._on_written)] = None

    def _on_written(self, writer: PipeWriter) -> None:
        del self._writers[writer]
        self._changed.beat()

    def _on_cancelled(self) -> None:
        self._cancelled = True
        self._changed.beat()
