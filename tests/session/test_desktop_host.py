"""From a host to a session through a real eventd: what becomes of notifications, and what is held for a host."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from subprocess import DEVNULL
from typing import Any

import anyio
import pytest

import guestmux
from guestmux.guest import ADDRESS_VARIABLE
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.standin_logind import StandinLogind, standin_logind
from tests.support.standin_notifications import StandinNotifications, standin_notifications

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

ASK_SECONDS = 0.05
"""Seconds between two questions to a logind that tells nobody."""


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
async def desktop(session_bus: PrivateBus) -> AsyncIterator[StandinNotifications]:
    capabilities = ("actions", "inline-reply")
    async with standin_notifications(session_bus.address, capabilities) as server:
        yield server


@pytest.fixture
async def address(
    eventd: Eventd,
    system_bus: PrivateBus,
    session_bus: PrivateBus,
    session: str,
    desktop: StandinNotifications,
) -> AsyncIterator[str]:
    """The address of a guest with a session agent."""
    del desktop
    environment = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": session_bus.address, "XDG_SESSION_TYPE": "tty"}
    command = [sys.executable, "-m", "guestmux_session", "--bus", system_bus.address, "--session", session]
    async with (
        guestmux.connect(f"unix:{eventd.qga}") as watcher,
        watcher.events("AGENT_REGISTERED") as events,
        await anyio.open_process(command, env=environment, stdout=DEVNULL, stderr=DEVNULL) as process,
    ):
        async for item in events:
            # It registers with what D-Bus carries, and is told of anew when it has a channel.
            if isinstance(item, guestmux.Event) and "session-hold-idle" in item.data["commands"]:
                break
        yield f"unix:{eventd.qmp}"
        process.terminate()
        await process.wait()


async def until_locks(logind: StandinLogind, *reasons: str) -> None:
    """Ask until these keep logind from idling."""
    while True:
        reply = await logind.bus.call(
            "org.freedesktop.login1",
            "/org/freedesktop/login1",
            "org.freedesktop.login1.Manager",
            "ListInhibitors",
        )
        if [each[2] for each in reply.body[0] if each[0] == "idle"] == [*reasons]:
            return
        await anyio.sleep(ASK_SECONDS)


async def test_what_becomes_of_a_notification(address: str, desktop: StandinNotifications) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    async with guestmux.connect(address) as guest, guest.events("NOTIFICATION_*") as events:
        shown = await guest.notify("Restart?", reply=True, tag="restart")
        desktop.reply(shown.id, "Not now")
        async for item in events:
            assert isinstance(item, guestmux.Event)
            told.append((item.name, item.data))
            if len(told) == 2:
                break
    (action, said), (closed, why) = told
    assert (action, said["reply"], said["tag"], said["source"]) == (
        "NOTIFICATION_ACTION",
        "Not now",
        "restart",
        "claimed",
    )
    assert (closed, why["reason"], why["id"]) == ("NOTIFICATION_CLOSED", "dismissed", shown.id)


async def test_who_comes_later_hears_of_it_too(address: str, desktop: StandinNotifications) -> None:
    """Nobody was subscribed when the user answered."""
    async with guestmux.connect(address) as guest:
        async with guest.events("NOTIFICATION_*") as before:
            position = before.position
        shown = await guest.notify("Restart?", actions={"yes": "Yes"})
        desktop.choose(shown.id, "yes")
        await desktop.until_unheard()
        async with guest.events("NOTIFICATION_*", since=position) as events:
            async for item in events:
                if isinstance(item, guestmux.Event):
                    assert item.data["action"] == "yes"
                    break


@pytest.mark.parametrize("mux", [True, False])
async def test_a_session_is_kept_awake_for_a_host(address: str, logind: StandinLogind, mux: bool) -> None:
    async with guestmux.connect(address, mux=mux) as guest:
        async with guest.idle_inhibited("A film"):
            await until_locks(logind, "A film")
            (held,) = await guest.idle_inhibitors()
            assert (held.by, isinstance(held.seconds, float)) == (["logind"], not mux)
        await until_locks(logind)


async def test_a_host_that_is_killed_lets_go(address: str, logind: StandinLogind) -> None:
    command = [sys.executable, "-m", "guestmux", "inhibit-idle", "--reason", "A film"]
    async with await anyio.open_process(command, env={**os.environ, ADDRESS_VARIABLE: address}) as process:
        await until_locks(logind, "A film")
        process.kill()
        await until_locks(logind)
