"""From the host's command line to a program's clipboard: a real eventd, the stock agent, a real X server."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from subprocess import DEVNULL, PIPE

import anyio
import pytest

import guestmux
from guestmux.cli import exits
from guestmux.guest import ADDRESS_VARIABLE
from tests.support.clipboards import paste
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.standin_logind import StandinLogind, standin_logind
from tests.support.x_server import XServer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

BIG = bytes(range(256)) * 20_000
"""5 MB: many pieces of INCR, and several windows of a stream."""

XCLIP = ("xclip", "-selection", "clipboard")


@pytest.fixture
async def logind(system_bus: PrivateBus) -> AsyncIterator[StandinLogind]:
    async with standin_logind(system_bus.address) as logind:
        yield logind


@pytest.fixture
async def session(logind: StandinLogind) -> str:
    return await logind.control.login("alice", os.getuid())


@pytest.fixture
def eventd(system_bus: PrivateBus, session: str) -> Iterator[Eventd]:
    del session
    with running_eventd(system_bus.address) as eventd:
        yield eventd


@pytest.fixture
async def address(
    eventd: Eventd, bare_x: XServer, system_bus: PrivateBus, session: str
) -> AsyncIterator[str]:
    """The address of a guest with a desktop."""
    environment = {**os.environ, **bare_x.environment, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nosuch"}
    command = [sys.executable, "-m", "guestmux_session", "--bus", system_bus.address, "--session", session]
    async with (
        guestmux.connect(f"unix:{eventd.qga}") as watcher,
        watcher.events("AGENT_REGISTERED") as events,
        await anyio.open_process(command, env=environment, stdout=DEVNULL, stderr=DEVNULL) as process,
    ):
        async for item in events:
            # It registers with what D-Bus carries, and is told of anew when it has a channel.
            if isinstance(item, guestmux.Event) and "session-clipboard-upload" in item.data["commands"]:
                break
        yield f"unix:{eventd.qmp}"
        process.terminate()
        await process.wait()


async def run(address: str, *arguments: str, given: bytes = b"") -> tuple[int, bytes, bytes]:
    done = await anyio.run_process(
        [sys.executable, "-m", "guestmux", "clipboard", *arguments],
        input=given,
        env={**os.environ, ADDRESS_VARIABLE: address},
        check=False,
        stderr=PIPE,
    )
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("dialect", ["qmp", "mux"])
async def test_there_and_back(address: str, bare_x: XServer, dialect: str) -> None:
    image = ("--dialect", dialect, "--type", "image/png")
    assert await run(address, "set", *image, given=BIG) == (exits.OK, b"", b"")
    assert await paste(bare_x, *XCLIP, "-t", "image/png", "-o") == BIG
    assert await run(address, "get", *image) == (exits.OK, BIG, b"")
    assert await run(address, "formats") == (exits.OK, b"image/png\n", b"")
    assert await run(address, "clear") == (exits.OK, b"", b"")
    status, _, said = await run(address, "get", *image)
    assert status == exits.FAILED
    assert b"there is no content" in said


async def test_marked_text(address: str, bare_x: XServer) -> None:
    assert await run(address, "set", "--primary", given="grüße".encode()) == (exits.OK, b"", b"")
    assert await paste(bare_x, "xsel", "--output", "--primary") == "grüße".encode()
    assert await run(address, "get", "--primary") == (exits.OK, "grüße".encode(), b"")


@pytest.mark.parametrize("mux", [False, True])
async def test_a_locked_session_has_none(
    address: str, logind: StandinLogind, session: str, mux: bool
) -> None:
    async with guestmux.connect(address, mux=mux) as guest:
        await guest.clipboard_set("secret", session)
        await logind.control.set_locked(session, locked=True)
        for refused in (
            guest.clipboard_get(session),
            guest.clipboard_set(b"x" * 300_000, session),
            guest.clipboard_clear(session),
            guest.clipboard_formats(session),
        ):
            with pytest.raises(guestmux.CommandFailed, match="locked"):
                await refused
        await logind.control.set_locked(session, locked=False)
        assert await guest.clipboard_get(session) == b"secret"


async def test_a_change_is_told_with_formats_and_sizes_and_never_the_content(
    address: str, session: str
) -> None:
    async with guestmux.connect(address) as guest, guest.events("CLIPBOARD_CHANGED") as events:
        async with anyio.create_task_group() as group:

            async def set_until_told() -> None:
                while True:
                    await guest.clipboard_set("secret", session)
                    await anyio.sleep(0.1)

            group.start_soon(set_until_told)
            async for item in events:
                if isinstance(item, guestmux.Event):
                    break
            group.cancel_scope.cancel()
        assert isinstance(item, guestmux.Event)
        told = {name: item.data[name] for name in ("session", "selection", "formats", "sizes")}
        assert told == {
            "session": session,
            "selection": "clipboard",
            "formats": ["text/plain"],
            "sizes": {"text/plain": 6},
        }
        assert "secret" not in repr(item)
