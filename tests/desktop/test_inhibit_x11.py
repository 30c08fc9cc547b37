"""A session that is kept from going idle, on a real X server with a screen saver."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest

from guestmux_session.desktop.inhibit_x11 import EXTENSION
from guestmux_session.desktop.x11_connection import X11Connection, connect_x11
from guestmux_session.desktop.x11_wire import extension_of, query_extension, request
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import DesktopAgent, desktop_agent, put_into
from tests.support.x_server import XServer

pytestmark = pytest.mark.anyio

SAVER_SECONDS = 1
"""After which the server blanks its screen: the least that it can count."""

ASK_SECONDS = 0.1
"""Seconds between two questions to a server that tells nobody."""

_SET_SCREEN_SAVER, _QUERY_INFO = 107, 1


@dataclass
class Saver:
    """What the server says of its screen saver."""

    is_on: bool
    idle: float


class Screen:
    """A client that sets the server's screen saver, and looks at it."""

    def __init__(self, connection: X11Connection, major: int) -> None:
        self._x11 = connection
        self._major = major

    def set_saver(self) -> None:
        self._x11.tell(request(_SET_SCREEN_SAVER, 0, struct.pack("<hhBBxx", SAVER_SECONDS, 0, 1, 1)))

    async def look(self) -> Saver:
        """XScreenSaverQueryInfo."""
        reply = await self._x11.ask(
            request(self._major, _QUERY_INFO, struct.pack("<I", self._x11.setup.root))
        )
        (idle,) = struct.unpack_from("<I", reply, 16)
        return Saver(reply[1] == 1, idle / 1000)

    async def until_on(self) -> None:
        while True:
            if (await self.look()).is_on:
                return
            await anyio.sleep(ASK_SECONDS)

    async def until_idle(self, seconds: float) -> None:
        """By the server's own clock; the screen saver must not come."""
        while True:
            saver = await self.look()
            assert not saver.is_on
            if saver.idle >= seconds:
                return
            await anyio.sleep(ASK_SECONDS)


@asynccontextmanager
async def screen_of(x: XServer) -> AsyncIterator[Screen]:
    connection = await connect_x11(x.environment["DISPLAY"], x.environment["XAUTHORITY"])
    try:
        major = extension_of(await connection.ask(query_extension(EXTENSION)))
        assert major is not None
        yield Screen(connection, major)
    finally:
        connection.close()


async def held_by(agent: DesktopAgent) -> list[str]:
    (held,) = await agent.call("session-list-inhibitors")
    return list(held["by"])


async def test_the_screen_is_not_blanked(
    bare_x: XServer, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_into(monkeypatch, bare_x.environment)
    async with screen_of(bare_x) as screen, desktop_agent(system_bus, session_bus) as agent:
        answer = await agent.call("session-inhibit-idle", reason="A film")
        assert answer["by"] == ["logind", "x11"]
        screen.set_saver()
        await screen.until_idle(SAVER_SECONDS * 2.5)
        await agent.call("session-uninhibit-idle", id=answer["id"])
        await screen.until_on()


async def test_a_server_that_crashes_and_comes_back(
    bare_x: XServer, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_into(monkeypatch, bare_x.environment)
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.call("session-inhibit-idle", reason="A film")
        bare_x.crash()
        while True:
            if await held_by(agent) == ["logind"]:
                break
            await anyio.sleep(ASK_SECONDS)
        bare_x.restart()
        while True:
            if await held_by(agent) == ["logind", "x11"]:
                break
            await anyio.sleep(ASK_SECONDS)
        async with screen_of(bare_x) as screen:
            screen.set_saver()
            await screen.until_idle(SAVER_SECONDS * 2.5)


async def test_an_agent_that_ends_lets_go(
    bare_x: XServer, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_into(monkeypatch, bare_x.environment)
    async with screen_of(bare_x) as screen:
        async with desktop_agent(system_bus, session_bus) as agent:
            await agent.call("session-inhibit-idle", reason="A film")
            screen.set_saver()
        await screen.until_on()
