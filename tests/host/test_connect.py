"""Connecting: where nobody is, where nobody answers, where another guest was before."""

from __future__ import annotations

import asyncio
import os
import socket
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import guestmux
from guestmux import link
from guestmux.backoff import FIRST, LONGEST, Backoff
from guestmux.guest import ADDRESS_VARIABLE
from guestmux_protocol.incoming import Answered
from guestmux_protocol.messages import COMMAND_NOT_FOUND, Request
from guestmux_protocol.qga import QgaDialect
from guestmux_protocol.qmp import QmpDialect
from tests.support.standin_guest import StandInGuest

pytestmark = pytest.mark.anyio

Dialect = QgaDialect | QmpDialect


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket at which connections wait for ever, as at a QEMU chardev without an agent behind it."""
    with TemporaryDirectory(prefix="guestmux-host-") as directory:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(Path(directory) / "s"))
        listener.listen()
        listener.setblocking(False)
        yield listener
        listener.close()


def address_of(listener: socket.socket) -> str:
    return f"unix:{listener.getsockname()}"


async def test_nobody_answers(listener: socket.socket) -> None:
    with pytest.raises(
        guestmux.ConnectError, match=r"nobody answers on unix:.*is guestmux-eventd running in"
    ):
        async with guestmux.connect(address_of(listener), timeout=0.01):
            raise AssertionError("connected to nobody")


@pytest.mark.parametrize("make", [QgaDialect, QmpDialect])
async def test_a_guest_that_lost_the_first_question_is_asked_again(
    make: Callable[[], Dialect], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver of a virtio port drops what comes while nobody has it open, and a greeting likewise."""
    monkeypatch.setattr(link, "ASK_AGAIN_SECONDS", 0.01)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dialect = make()
        await reader.readline()
        while data := await reader.read(65536):
            for incoming in dialect.receive(data):
                writer.write(incoming.data if isinstance(incoming, Answered) else answer(dialect, incoming))
        writer.close()

    async with (
        await asyncio.start_unix_server(serve, tmp_path / "s"),
        guestmux.connect(f"unix:{tmp_path}/s") as guest,
    ):
        await guest.ping()
        assert guest.dialect == make().name


def answer(dialect: Dialect, request: Request) -> bytes:
    """As eventd, as far as connecting goes."""
    if request.command in ("guest-ping", "guest-sync-delimited"):
        return dialect.reply(request, request.arguments.get("id", {}))
    return dialect.error(request, COMMAND_NOT_FOUND, "no such command")


async def test_a_guest_that_hangs_up(tmp_path: Path) -> None:
    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_unix_server(hang_up, tmp_path / "s"):
        with pytest.raises(guestmux.ConnectError, match="hung up"):
            async with guestmux.connect(f"unix:{tmp_path}/s"):
                raise AssertionError("connected to nobody")


async def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(guestmux.ConnectError, match="not found"):
        async with guestmux.connect(f"unix:{tmp_path}/nothing"):
            raise AssertionError("connected to nobody")


async def test_nobody_listens(listener: socket.socket) -> None:
    address = address_of(listener)
    listener.close()
    with pytest.raises(guestmux.ConnectError, match="nobody listens"):
        async with guestmux.connect(address):
            raise AssertionError("connected to nobody")


async def test_the_address_comes_from_the_environment(
    standin: StandInGuest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADDRESS_VARIABLE, standin.address)
    async with guestmux.connect() as guest:
        await guest.ping()


async def test_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)
    with pytest.raises(guestmux.NoAddress, match=ADDRESS_VARIABLE):
        async with guestmux.connect():
            raise AssertionError("connected to nobody")


async def test_no_such_form_of_address() -> None:
    with pytest.raises(guestmux.AddressError, match="unix:PATH"):
        async with guestmux.connect("tcp:localhost:1"):
            raise AssertionError("connected to nobody")


async def test_a_greeting_that_nobody_heard() -> None:
    """A pty has no connect: what the guest said before the host opened it is gone."""
    guest_end, host_end = os.openpty()
    tty.setraw(host_end)
    os.set_blocking(guest_end, False)
    path = os.ttyname(host_end)
    dialect = QmpDialect()
    dialect.opened()

    def serve() -> None:
        for incoming in dialect.receive(os.read(guest_end, 65536)):
            os.write(
                guest_end, incoming.data if isinstance(incoming, Answered) else dialect.reply(incoming, {})
            )

    loop = asyncio.get_running_loop()
    loop.add_reader(guest_end, serve)
    try:
        async with guestmux.connect(f"device:{path}") as guest:
            await guest.ping()
            assert guest.dialect == "qmp"
    finally:
        loop.remove_reader(guest_end)
        os.close(guest_end)
        os.close(host_end)


def test_pauses_grow_and_are_bounded() -> None:
    backoff = Backoff(chance=lambda: 0.0)
    pauses = [backoff.next() for _ in range(20)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (FIRST, LONGEST)
    backoff.reset()
    assert backoff.next() == FIRST


def test_pauses_are_left_to_chance_a_little() -> None:
    assert Backoff(chance=lambda: 1.0).next() < FIRST
