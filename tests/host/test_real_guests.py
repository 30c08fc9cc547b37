"""Against the real ones: a stock qemu-ga, and eventd on a private bus."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream

import guestmux
from guestmux import mux_talk
from guestmux.cli import exits
from guestmux.cli.app import run
from guestmux_protocol.mux import Data, encode
from tests.support.dbus_daemon import private_bus
from tests.support.eventd import Eventd, running_eventd

pytestmark = pytest.mark.anyio


@pytest.fixture
def eventd() -> Iterator[Eventd]:
    with private_bus() as bus, running_eventd(bus.address) as eventd:
        yield eventd


async def test_a_stock_agent(stock: str) -> None:
    async with guestmux.connect(stock) as guest:
        await guest.ping()
        assert guest.dialect == "qga"
        assert {"guest-ping", "guest-file-open"} <= {
            command.name for command in (await guest.info()).supported_commands
        }
        handle = await guest.call("guest-file-open", path=os.devnull, mode="r")
        assert (await guest.call("guest-file-read", handle=handle))["eof"] is True
        with pytest.raises(guestmux.CommandFailed, match="expected: integer"):
            await guest.call("guest-file-read", handle="1000")
        with pytest.raises(guestmux.CommandNotFound):
            await guest.sessions()
        with pytest.raises(guestmux.CommandNotFound):
            await guest.events().begin()


async def test_a_stock_agent_that_is_not_in_step(stock: str) -> None:
    """Half a command of an earlier host, which qemu-ga never forgets by itself."""
    with socket.socket(socket.AF_UNIX) as earlier:
        earlier.connect(stock.removeprefix("unix:"))
        earlier.sendall(b'{"execute": "guest-pi')
    async with guestmux.connect(stock) as guest:
        await guest.ping()


def test_the_command_line_on_a_stock_agent(stock: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-c", stock, "ping"]) == exits.OK
    assert run(["-c", stock, "info"]) == exits.OK
    assert run(["-c", stock, "sessions"]) == exits.NOT_FOUND
    assert run(["-c", stock, "events"]) == exits.NOT_FOUND
    assert "guest-get-sessions has not been found" in capsys.readouterr().err


@pytest.mark.parametrize("dialect", ["qga", "qmp", "mux"])
async def test_eventd(eventd: Eventd, dialect: str) -> None:
    port = eventd.qga if dialect == "qga" else eventd.qmp
    async with guestmux.connect(f"unix:{port}", mux=dialect == "mux") as guest:
        assert guest.dialect == dialect
        await guest.ping()
        assert await guest.sessions() == []
        assert "guest-event-subscribe" in (await guest.schema()).commands
        with pytest.raises(guestmux.CommandFailed, match="no session is in the foreground"):
            await guest.lock()
        async with guest.events("SESSION_*") as stream:
            assert stream.snapshot.sessions == []


@pytest.mark.parametrize("dialect", ["qga", "qmp", "mux"])
async def test_eventd_restarts(eventd: Eventd, dialect: str) -> None:
    address = f"unix:{eventd.qga if dialect == 'qga' else eventd.qmp}"
    async with guestmux.connect(address, mux=dialect == "mux") as guest, guest.events() as stream:
        eventd.stop(signal.SIGKILL)
        assert isinstance(await anext(stream), guestmux.Disconnected)
        eventd.start()
        reconnected, gap = await anext(stream), await anext(stream)
        assert isinstance(reconnected, guestmux.Reconnected)
        assert reconnected.resumed, "it goes on, and the gap says what is lost"
        assert isinstance(gap, guestmux.Gap)
        assert gap.reason == "new-epoch"
        await guest.ping()


class Wire:
    """What is between a host and eventd's socket, as QEMU is: it can put bytes in between.

    Args:
        port: eventd's socket.
    """

    def __init__(self, port: str) -> None:
        self._port = port
        self.host: ByteStream | None = None

    async def serve(self, host: ByteStream) -> None:
        self.host = host
        async with host, await anyio.connect_unix(self._port) as guest, anyio.create_task_group() as tasks:
            tasks.start_soon(self._carry, guest, host)
            await self._carry(host, guest)
            tasks.cancel_scope.cancel()

    async def _carry(self, source: ByteStream, target: ByteStream) -> None:
        with suppress(anyio.BrokenResourceError):
            async for data in source:
                await target.send(data)

    @asynccontextmanager
    async def running(self, path: Path) -> AsyncIterator[str]:
        """Run it on a socket of its own; gives the host's address."""
        async with await anyio.create_unix_listener(path) as listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self.serve)
            yield f"unix:{path}"
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(b"\xff", id="the guest fell back"),
        pytest.param(b'{"QMP": {"version": {}, "capabilities": ["oob"]}}\n', id="a greeting"),
        pytest.param(b"\x00garbage\xff", id="garbage"),
        pytest.param(encode(Data(7, b"x" * 9999))[:100], id="half a frame"),
    ],
)
async def test_host_and_eventd_agree_again_after_whatever_the_host_heard(
    eventd: Eventd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    monkeypatch.setattr(mux_talk, "HALF_FRAME_SECONDS", 0.1)
    wire = Wire(eventd.qmp)
    async with (
        wire.running(tmp_path / "wire") as address,
        guestmux.connect(address) as guest,
        guest.events() as stream,
    ):
        await guest.ping()
        assert wire.host
        await wire.host.send(before)
        # What broke off is noticed by who waits for something behind it.
        with suppress(guestmux.ConnectionLost):
            await guest.ping()
        while not isinstance(await anext(stream), guestmux.Reconnected):
            pass
        await guest.ping()
        assert guest.dialect == "mux"
