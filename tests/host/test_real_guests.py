"""Against the real ones: a stock qemu-ga, and eventd on a private bus."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest

import guestmux
from guestmux.cli import exits
from guestmux.cli.app import run
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
        with pytest.raises(guestmux.CommandFailed, match="active"):
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
        assert not reconnected.resumed
        assert isinstance(gap, guestmux.Gap)
        assert gap.reason == "new-epoch"
        await guest.ping()
