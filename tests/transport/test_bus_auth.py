"""Connecting to what is no good bus: silent, closing, refusing or absent. The bare dbus-next freezes at some."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from guestmux_transport.bus import connect_bus
from guestmux_transport.bus_address import socket_names
from guestmux_transport.errors import BusUnavailable
from tests.support.bare_library import installed

pytestmark = pytest.mark.anyio

# What each kind of bad bus sends after the client's first bytes, before it closes.
CLOSES = b""
REFUSES = b"REJECTED KERBEROS_V4\r\n"
BABBLES = b"x" * 100_000
NO_FDS = b"OK 1234\r\nERROR\r\n"
NOT_DBUS = b"OK 1234\r\nAGREE_UNIX_FD\r\nHTTP/1.1 400 Bad Request\r\n\r\n"

# How long the bare library is watched to see that it does not end, in seconds.
LONG_ENOUGH = 1.5

CONNECT_BARE = """
import asyncio, sys
from {package}.aio import MessageBus

async def main():
    connecting = asyncio.ensure_future(MessageBus(sys.argv[1]).connect())
    await asyncio.wait([connecting], timeout=0.2)
    print("the loop lives", flush=True)
    connecting.cancel()

asyncio.run(main())
"""


@contextmanager
def bad_bus(directory: Path, answer: bytes | None) -> Iterator[str]:
    """Serve one connection: send `answer` and close; None: keep it open and silent."""
    path = directory / "bad"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        served = threading.Thread(target=_serve, args=(listener, answer))
        served.start()
        yield f"unix:path={path}"
        listener.shutdown(socket.SHUT_RDWR)
        served.join()


def _serve(listener: socket.socket, answer: bytes | None) -> None:
    try:
        connection, _ = listener.accept()
    except OSError:
        return
    with connection:
        received = connection.recv(1024)
        while not received.endswith(b"\r\n"):
            received += connection.recv(1024)
        if answer is None:
            while connection.recv(1024):
                pass
            return
        try:
            connection.sendall(answer)
            while answer and connection.recv(1024):
                pass
        except OSError:
            return


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (CLOSES, "closed"),
        (REFUSES, "refused"),
        (BABBLES, "line of more than"),
        (NO_FDS, "no file descriptors"),
        (NOT_DBUS, "not the D-Bus protocol"),
    ],
)
async def test_a_bus_that_does_not_take_us(tmp_path: Path, library: str, answer: bytes, reason: str) -> None:
    with bad_bus(tmp_path, answer) as address, pytest.raises(BusUnavailable, match=reason):
        async with connect_bus(address, library=library):
            pass


async def test_a_silent_bus_is_given_up_in_time(tmp_path: Path, library: str) -> None:
    with (
        bad_bus(tmp_path, None) as address,
        pytest.raises(BusUnavailable, match=r"did not answer within 0\.05 s"),
    ):
        async with connect_bus(address, library=library, timeout=0.05):
            pass


def test_the_bare_dbus_next_freezes_the_loop_when_the_bus_closes(tmp_path: Path) -> None:
    package = installed("dbus-next")
    with bad_bus(tmp_path, CLOSES) as address:
        program = [sys.executable, "-c", CONNECT_BARE.format(package=package), address]
        with pytest.raises(subprocess.TimeoutExpired) as frozen:
            subprocess.run(program, capture_output=True, timeout=LONG_ENOUGH, check=False)
    assert frozen.value.stdout is None


async def test_no_bus_at_all(tmp_path: Path) -> None:
    with pytest.raises(BusUnavailable, match="No such file"):
        async with connect_bus(f"unix:path={tmp_path}/none"):
            pass


async def test_a_full_backlog_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "full"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(path))
        listener.listen(0)
        first.connect(str(path))
        with pytest.raises(BusUnavailable, match="did not answer"):
            async with connect_bus(f"unix:path={path}", timeout=0.1):
                pass


def test_addresses() -> None:
    assert socket_names("unix:path=/run/a%20b,guid=12") == ["/run/a b"]
    assert socket_names("unix:abstract=/tmp/x") == ["\0/tmp/x"]
    assert socket_names("tcp:host=x;unix:path=/a;unix:path=/b") == ["/a", "/b"]


@pytest.mark.parametrize(
    "address", ["", "tcp:host=localhost,port=1", "/run/bus", "unix:tmpdir=/tmp", "unix:"]
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(BusUnavailable):
        socket_names(address)
