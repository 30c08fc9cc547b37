"""What the tests of pipes and ports share: turns of the loop, proof of idleness, and a sleep that tests let pass."""

import asyncio
import os
import socket
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from guestmux_transport.edge import edge_poller
from guestmux_transport.owned_pipe import owned_pipe
from guestmux_transport.pipe import Pipe
from guestmux_transport.port import Port

# More than any chain of callbacks and tasks in these modules is long.
SETTLE_TURNS = 20


async def turns(number: int = SETTLE_TURNS) -> None:
    """Let the loop run so many times, without waiting for anything."""
    for _ in range(number):
        await asyncio.sleep(0)


async def assert_idle() -> None:
    """The loop would sleep until something outside happens: no wake-up, no ready callback, no timer."""
    await turns()
    loop: Any = asyncio.get_running_loop()
    wakeups = edge_poller().wakeups
    for _ in range(SETTLE_TURNS):
        await asyncio.sleep(0)
        assert not loop._ready
    assert edge_poller().wakeups == wakeups
    assert not [timer for timer in loop._scheduled if not timer.cancelled()]


async def receive_exactly(pipe: Pipe, size: int) -> bytes:
    """Receive `size` bytes, or fewer if the other side ends."""
    received = bytearray()
    while len(received) < size and (data := await pipe.receive()):
        received += data
    return bytes(received)


async def receive_all(pipe: Pipe) -> bytes:
    """Receive until the other side ends."""
    received = bytearray()
    while data := await pipe.receive():
        received += data
    return bytes(received)


@contextmanager
def pipe_and_peer() -> Iterator[tuple[Pipe, socket.socket]]:
    """A pipe over one end of a socket pair, and the other end."""
    ours, peer = socket.socketpair()
    peer.settimeout(0)
    ours.settimeout(0)
    pipe = owned_pipe("test", ours.detach())
    with peer:
        yield pipe, peer
        pipe.close()


@contextmanager
def host_at(path: Path | str) -> Iterator[socket.socket]:
    """A host connected to a unix socket."""
    with socket.socket(socket.AF_UNIX) as host:
        host.settimeout(0)
        host.connect(str(path))
        yield host


def fill(peer: socket.socket) -> int:
    """Send until the kernel takes no more; returns how many bytes it took."""
    sent = 0
    try:
        while True:
            sent += peer.send(b"x" * 4096)
    except BlockingIOError:
        return sent


@asynccontextmanager
async def hosts_of(port: Port) -> AsyncIterator[AsyncIterator[Pipe]]:
    """The port's connections; the port is closed at the end."""
    hosts: Any = port.connections()
    try:
        yield hosts
    finally:
        port.close()
        await turns()  # an anext() under way ends by itself
        await hosts.aclose()


def open_descriptors() -> set[int]:
    """This process's descriptors."""
    return {int(entry.name) for entry in Path("/proc/self/fd").iterdir()}


@dataclass
class SteppedSleep:
    """A sleep that lasts until the test says so.

    Attributes:
        delays: what was asked for so far, in seconds.
    """

    delays: list[float] = field(default_factory=list)
    _steps: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def __call__(self, seconds: float) -> None:
        self.delays.append(seconds)
        await self._steps.acquire()

    def step(self, number: int = 1) -> None:
        """Let this many sleeps end, now or when they come."""
        for _ in range(number):
            self._steps.release()


@contextmanager
def pty_pair() -> Iterator[tuple[int, str]]:
    """A pty: its master, raw and non-blocking, and the path of its slave, which nobody has open."""
    master, slave = os.openpty()
    path = os.ttyname(slave)
    tty.setraw(slave)
    os.set_blocking(master, False)
    os.close(slave)
    try:
        yield master, path
    finally:
        os.close(master)


async def until_readable(fd: int) -> None:
    """Wait for a descriptor; ptys pass bytes on in a kernel thread, a moment later."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)


def our_messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What guestmux logged: asyncio may log what a bare D-Bus library left behind in an earlier test."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("guestmux")]
