"""guestmux-session as a process: its options, its signals, what it tells systemd."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import anyio
import pytest
from anyio.abc import Process

from guestmux_session.__main__ import build_parser
from tests.support.dbus_daemon import PrivateBus
from tests.support.standin_manager import standin_manager

pytestmark = pytest.mark.anyio


@pytest.fixture
def service_manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


async def start(system_bus: PrivateBus, session_bus: PrivateBus, notify: str) -> Process:
    environment = {
        **os.environ,
        "DBUS_SESSION_BUS_ADDRESS": session_bus.address,
        "NOTIFY_SOCKET": notify,
        "JOURNAL_STREAM": "1:2",
    }
    command = [sys.executable, "-m", "guestmux_session", "--bus", system_bus.address, "--session", "c2"]
    return await anyio.open_process(command, env=environment, stdout=None, stderr=PIPE)


async def told(service_manager: socket.socket, text: bytes) -> None:
    while True:
        await anyio.wait_readable(service_manager)
        if text in service_manager.recv(4096):
            return


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_cleanly_and_says_how_it_stands(
    system_bus: PrivateBus, session_bus: PrivateBus, service_manager: socket.socket, number: signal.Signals
) -> None:
    name = service_manager.getsockname()
    async with await start(system_bus, session_bus, name) as process:
        # Ready without an eventd: the unit must not fail because of it.
        await told(service_manager, b"READY=1\nSTATUS=waiting for org.guestmux.Manager1")
        async with standin_manager(system_bus.address) as manager:
            assert (await manager.agent("guestmux-session")).claim == "c2"
            await told(service_manager, b"STATUS=registered in session c2")
            process.send_signal(number)
            await told(service_manager, b"STOPPING=1")
            await manager.logged("unregistered")
        assert await process.wait() == 0
        assert process.stderr is not None
        log = (await process.stderr.receive(65536)).decode()
    assert "INFO: guestmux-session: registered in session c2\n" in log
    assert "Traceback" not in log


def test_help_says_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        build_parser().parse_args(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "--session ID" in text
    assert "Exit status" in text


@pytest.mark.parametrize("arguments", [["--log-level", "loud"], ["--bus"], ["stray"]])
def test_wrong_options_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        build_parser().parse_args(arguments)
    assert caught.value.code == 2
    assert "usage: guestmux-session" in capsys.readouterr().err
