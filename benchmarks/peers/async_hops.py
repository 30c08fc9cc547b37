"""Two hops as `bare_hops` has them for a call, on asyncio: what a service has that serves many at once.

`python -m benchmarks.peers.async_hops PATH` gives back what comes.
`python -m benchmarks.peers.async_hops PATH TARGET` passes on to TARGET what comes at PATH, and back.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import Protocol, Transport
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.peers.processes import environment, python, running
from benchmarks.peers.raw_client import connect


@contextmanager
def async_hops(folder: Path) -> Iterator[str]:
    """Far end and relay; gives the relay's path."""
    far, near = folder / "async-far", folder / "async-near"
    with ExitStack() as stack:
        for path, target in ((far, []), (near, [str(far)])):
            command = python("benchmarks.peers.async_hops", str(path), *target)
            stack.enter_context(running(command, environment(), folder / f"{path.name}.log"))
            connect(str(path)).close()
        yield str(near)


class _Sender(Protocol):
    """Sends what comes to another connection, which may be the same."""

    def __init__(self) -> None:
        self.target: Transport | None = None

    def data_received(self, data: bytes) -> None:
        if self.target:
            self.target.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.target:
            self.target.close()


class _Echo(_Sender):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, Transport)
        self.target = transport


class _Relay(_Sender):
    """One direction is this, the other the connection that it makes; the client waits until there is both."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, Transport)
        transport.pause_reading()
        self._connecting = asyncio.ensure_future(self._connect(transport))

    async def _connect(self, near: Transport) -> None:
        far, back = await asyncio.get_running_loop().create_unix_connection(_Sender, self._path)
        self.target, back.target = far, near
        near.resume_reading()


async def _serve(path: str, target: str = "") -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: _Relay(target) if target else _Echo(), path)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
