"""A guest to talk to: a stand-in that does as it is told, or a stock qemu-ga."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import guestmux
from tests.support.qemu_ga import QEMU_GA
from tests.support.standin_guest import StandInGuest, standin_guest


@pytest.fixture(params=["mux", "qmp", "qga"])
def dialect(request: pytest.FixtureRequest) -> str:
    """Override it by parametrize where a test is about one of them."""
    return str(request.param)


@pytest.fixture
async def standin(dialect: str, anyio_backend: str) -> AsyncIterator[StandInGuest]:
    with TemporaryDirectory(prefix="guestmux-host-") as directory:
        async with standin_guest(Path(directory), dialect) as standin:
            yield standin


@pytest.fixture
async def guest(standin: StandInGuest) -> AsyncIterator[guestmux.Guest]:
    async with guestmux.connect(standin.address) as guest:
        yield guest


@pytest.fixture
def stock() -> Iterator[str]:
    """The address of a stock qemu-ga, which is handed a socket that listens already."""
    if QEMU_GA is None:
        pytest.skip("qemu-ga is not installed")
    with TemporaryDirectory(prefix="guestmux-qga-") as directory, socket.socket(socket.AF_UNIX) as listener:
        path = Path(directory) / "s"
        listener.bind(str(path))
        listener.listen()
        hand_over = 'exec 3<&"$1"; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$0" -m unix-listen -t "$2"'
        command = ["bash", "-c", hand_over, QEMU_GA, str(listener.fileno()), directory]
        with subprocess.Popen(command, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL) as process:
            try:
                yield f"unix:{path}"
            finally:
                process.kill()
