"""QEMU's own monitor, by the qemu.qmp library, for tests that wait."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from qemu.qmp import EventListener, QMPClient

EVENT_SECONDS = 300.0
"""Time that an event of QEMU's has to come: a guest may have to shut down before it."""


class Monitor:
    """A connected monitor."""

    def __init__(self, portal: BlockingPortal, client: QMPClient) -> None:
        self._portal = portal
        self._client = client
        self._events = EventListener()
        portal.call(self._client.register_listener, self._events)

    def execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """Run a command of QEMU's.

        Raises:
            qemu.qmp.ExecuteError: QEMU refuses.
        """
        return self._portal.call(self._client.execute, command, arguments)

    def forget_events(self) -> None:
        """Begin anew to look for events."""
        self._portal.call(self._forget)

    async def _forget(self) -> None:
        self._events.clear()

    def event(self, name: str, **data: Any) -> dict[str, Any]:
        """Skip events until one has this name and these data; gives its data.

        Raises:
            TimeoutError: none came.
        """
        return self._portal.call(self._event, name, data)

    async def _event(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        async with asyncio.timeout(EVENT_SECONDS):
            while True:
                message = await self._events.get()
                seen: dict[str, Any] = dict(message.get("data") or {})  # type: ignore[call-overload]
                if message["event"] == name and seen.items() >= data.items():
                    return seen


@contextmanager
def connected(path: Path) -> Iterator[Monitor]:
    """Connect to a monitor's socket; disconnects after the block.

    Raises:
        qemu.qmp.ConnectError: nobody listens there.
    """
    client = QMPClient()
    with start_blocking_portal("asyncio") as portal:
        portal.call(client.connect, str(path))
        try:
            yield Monitor(portal, client)
        finally:
            portal.call(_disconnect, client)


async def _disconnect(client: QMPClient) -> None:
    with suppress(EOFError, ConnectionError):  # QEMU is gone
        await client.disconnect()
