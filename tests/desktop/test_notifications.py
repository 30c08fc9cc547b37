"""Notifications on real servers: dunst on X, mako on a Wayland compositor, and what their users do."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from guestmux_transport.errors import CallError
from tests.support.dbus_daemon import STRICT_POLICY, PrivateBus, private_bus
from tests.support.desktop_agent import DesktopAgent, desktop_agent, put_into
from tests.support.needed_programs import need_programs
from tests.support.sway import NOBODY, Sway
from tests.support.x_server import XServer

pytestmark = pytest.mark.anyio

ACTIONS = [{"key": "yes", "label": "Restart"}, {"key": "no", "label": "Later"}]

PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAYAAABytg0kAAAAGUlEQVR4nAXBAQ0AAAjAINwsbvILImlH4h4/gAaBNbRWFQ"
    "AAAABJRU5ErkJggg=="
)

ASK_SECONDS = 0.05
"""Seconds between two looks at what a server shows; it tells nobody."""


class User:
    """Who sits in front of the desktop.

    Args:
        agent: of the session.
        address: the session bus's.
    """

    def __init__(self, agent: DesktopAgent, address: str) -> None:
        self.agent = agent
        self._environment = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": address}

    async def do(self, *command: str) -> str:
        """Run the server's own control program; gives what it says."""
        done = await anyio.run_process(command, env=self._environment)
        return done.stdout.decode()

    async def until_says(self, text: str, *command: str) -> None:
        """Run it until it says something."""
        while True:
            if text in await self.do(*command):
                return
            await anyio.sleep(ASK_SECONDS)

    async def notify(self, **arguments: Any) -> Any:
        return await self.agent.call("session-notify", **{"summary": "Restart now?", **arguments})

    async def events(self, count: int) -> list[tuple[str, dict[str, Any]]]:
        """Wait for so many events."""
        while len(self.agent.told) < count:
            await self.agent.manager.changed()
        return self.agent.told


@asynccontextmanager
async def user_of(system_bus: PrivateBus, session_bus: PrivateBus) -> AsyncIterator[User]:
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.manager.agent_with("session-notify")
        yield User(agent, session_bus.address)


@pytest.fixture
async def dunst(
    bare_x: XServer,
    system_bus: PrivateBus,
    session_bus: PrivateBus,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[User]:
    need_programs("dunst", "dunstctl", "dbus-send")
    put_into(monkeypatch, bare_x.environment)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", session_bus.address)
    bare_x.run("dunst", "-conf", "/dev/null")
    async with user_of(system_bus, session_bus) as user:
        yield user


@pytest.fixture
def users_bus() -> Iterator[PrivateBus]:
    """A session bus of the user whose compositor it is."""
    with private_bus(policy=STRICT_POLICY, owner=NOBODY if os.geteuid() == 0 else None) as bus:
        yield bus


@pytest.fixture
async def mako(
    wayland: Sway, system_bus: PrivateBus, users_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[User]:
    need_programs("mako", "makoctl", "busctl")
    put_into(monkeypatch, wayland.environment)
    wayland.variables["DBUS_SESSION_BUS_ADDRESS"] = users_bus.address
    wayland.run("mako")
    async with user_of(system_bus, users_bus) as user:
        yield user


async def test_dunst_tells_what_its_user_chose(dunst: User) -> None:
    shown = await dunst.notify(actions=ACTIONS[:1], tag="restart", image_b64=PICTURE, urgency="critical")
    assert shown["outcome"] == "shown"
    await dunst.until_says("1", "dunstctl", "count", "displayed")
    await dunst.do("dunstctl", "action", "0")
    await dunst.events(1)
    # Told so, and not by the mouse, it leaves it open.
    await dunst.do("dunstctl", "close")
    assert await dunst.events(2) == [
        ("NOTIFICATION_ACTION", {"id": shown["id"], "tag": "restart", "action": "yes"}),
        ("NOTIFICATION_CLOSED", {"id": shown["id"], "tag": "restart", "reason": "dismissed"}),
    ]


async def test_dunst_answers_who_waits(dunst: User) -> None:
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await dunst.notify(actions=ACTIONS[:1], wait_for_user=True))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await dunst.until_says("1", "dunstctl", "count", "displayed")
        await dunst.do("dunstctl", "action", "0")
    assert (answers[0]["outcome"], answers[0]["action"]) == ("action", "yes")
    # The agent takes it away, since who asked has the answer.
    await dunst.until_says("0", "dunstctl", "count", "displayed")
    assert dunst.agent.told == []


async def test_dunst_replaces_closes_and_expires(dunst: User) -> None:
    number = (await dunst.notify(expire=0))["id"]
    assert (await dunst.notify(body="<b>Now</b> & <here", markup=True, replaces=number))["id"] == number
    await dunst.until_says("1", "dunstctl", "count", "displayed")
    await dunst.agent.call("session-notify-close", id=number)
    assert await dunst.events(1) == [("NOTIFICATION_CLOSED", {"id": number, "reason": "closed"})]
    second = (await dunst.notify(expire=0.1))["id"]
    assert (await dunst.events(2))[1] == ("NOTIFICATION_CLOSED", {"id": second, "reason": "expired"})
    third = (await dunst.notify(expire=0))["id"]
    await dunst.until_says("1", "dunstctl", "count", "displayed")
    await dunst.do("dunstctl", "close")
    assert (await dunst.events(3))[2] == ("NOTIFICATION_CLOSED", {"id": third, "reason": "dismissed"})


async def test_dunst_takes_no_replies(dunst: User) -> None:
    with pytest.raises(CallError, match="takes no replies"):
        await dunst.notify(reply={})


async def test_mako_tells_what_its_user_chose(mako: User) -> None:
    shown = await mako.notify(actions=ACTIONS, image_b64=PICTURE)
    await mako.until_says("Restart now?", "makoctl", "list")
    await mako.do("makoctl", "invoke", "no")
    assert (await mako.events(1))[0] == ("NOTIFICATION_ACTION", {"id": shown["id"], "action": "no"})
    await mako.do("makoctl", "dismiss", "--all")
    assert (await mako.events(2))[1][0] == "NOTIFICATION_CLOSED"


async def test_mako_shows_a_hosts_markup_as_text(mako: User) -> None:
    await mako.notify(summary="<b>1</b>", body="<a href='x'>y</a> <i>z")
    await mako.until_says("&lt;a href='x'&gt;y&lt;/a&gt; &lt;i&gt;z", "makoctl", "list")


async def test_mako_that_ends(mako: User, wayland: Sway) -> None:
    number = (await mako.notify(expire=0))["id"]
    wayland.crash()
    assert await mako.events(1) == [("NOTIFICATION_CLOSED", {"id": number, "reason": "server-gone"})]
