"""From a real screen locker and a real idle daemon to a host: eventd and the agent between them, logind a stand-in."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import pytest

import guestmux
from guestmux_session.session_config import SessionConfig
from guestmux_session.stock import SessionAgent
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import put_into
from tests.support.eventd import Eventd, running_eventd
from tests.support.needed_programs import need_programs
from tests.support.standin_logind import StandinLogind, standin_logind
from tests.support.standin_screensaver import GNOME, standin_screensaver
from tests.support.sway import Sway
from tests.support.x_server import XServer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

Desktop = XServer | Sway

SESSION = "c2"
LOGIND = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")


@pytest.fixture
async def logind(system_bus: PrivateBus) -> AsyncIterator[StandinLogind]:
    async with standin_logind(system_bus.address) as logind:
        await logind.control.login("alice", os.getuid(), id=SESSION)
        # What sets LockedHint and IdleHint is real here.
        await logind.control.set_locker(SESSION, present=False)
        yield logind


@pytest.fixture
def eventd(system_bus: PrivateBus, logind: StandinLogind) -> Iterator[Eventd]:
    with running_eventd(system_bus.address) as eventd:
        yield eventd


@asynccontextmanager
async def agent(
    eventd: Eventd, system_bus: PrivateBus, session_bus: PrivateBus
) -> AsyncIterator[guestmux.Guest]:
    """Run the stock agent; gives a host's connection."""
    config = SessionConfig(idle_seconds=1)
    one = SessionAgent(
        bus=system_bus.address, session=SESSION, session_bus=session_bus.address, config=config
    )
    async with (
        guestmux.connect(f"unix:{eventd.qga}") as watcher,
        watcher.events("AGENT_REGISTERED") as stream,
        anyio.create_task_group() as group,
    ):
        group.start_soon(one.run)
        await anext(stream)
        async with guestmux.connect(f"unix:{eventd.qmp}") as guest:
            yield guest
        group.cancel_scope.cancel()


async def until(stream: guestmux.EventStream, name: str) -> dict[str, Any]:
    async for item in stream:
        if isinstance(item, guestmux.Event) and item.name == name:
            return item.data
    raise AssertionError("the stream ended")


@asynccontextmanager
async def running(
    logind: StandinLogind, bus: PrivateBus, desktop: Desktop, command: str
) -> AsyncIterator[None]:
    """A program of the session's that talks to logind, which knows it before it asks."""
    variables = {**os.environ, **desktop.environment, "DBUS_SYSTEM_BUS_ADDRESS": bus.address}
    process = await anyio.open_process(
        ["sh", "-c", f"read go; exec {command}"], env=variables, stdin=PIPE, stdout=None, stderr=None
    )
    try:
        await logind.control.add_process(SESSION, process.pid)
        assert process.stdin is not None
        await process.stdin.send(b"go\n")
        yield
    finally:
        process.terminate()
        await process.wait()


async def test_a_real_locker_locks_and_unlocks(
    bare_x: XServer,
    logind: StandinLogind,
    eventd: Eventd,
    system_bus: PrivateBus,
    session_bus: PrivateBus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    need_programs("xss-lock")
    put_into(monkeypatch, bare_x.environment)
    async with (
        agent(eventd, system_bus, session_bus) as guest,
        running(logind, system_bus, bare_x, f"xss-lock --session {SESSION} -- sleep 1000"),
        guest.events("SESSION_LOCK", "SESSION_UNLOCK") as stream,
    ):
        # It listens when it is there, and nothing tells that.
        while not (state := await guest.lock(SESSION)).confirmed:
            pass
        assert (state.locked, state.said_by) == (True, ["logind"])
        event = await until(stream, "SESSION_LOCK")
        while not event["confirmed"]:
            event = await until(stream, "SESSION_LOCK")
        assert (event["source"], event["said-by"]) == ("verified", ["logind"])
        state = await guest.unlock(SESSION)
        assert (state.locked, state.confirmed) == (False, True)
        assert (await until(stream, "SESSION_UNLOCK"))["source"] == "verified"


async def test_a_lock_that_logind_knows_nothing_of_reaches_the_host(
    eventd: Eventd, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    async with (
        standin_screensaver(session_bus.address) as saver,
        agent(eventd, system_bus, session_bus) as guest,
        guest.events("SESSION_LOCK", "SESSION_UNLOCK") as stream,
    ):
        await saver.asked("GetActive")
        saver.turn(True)
        event = await until(stream, "SESSION_LOCK")
        assert (event["source"], event["values"]) == ("claimed", {"logind": False, GNOME: True})
        saver.turn(False)
        event = await until(stream, "SESSION_UNLOCK")
        assert (event["source"], event["said-by"]) == ("claimed", ["logind", GNOME])


async def test_idle_by_the_agent_until_a_daemon_tells_logind(
    wayland: Sway,
    logind: StandinLogind,
    eventd: Eventd,
    system_bus: PrivateBus,
    session_bus: PrivateBus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    need_programs("wtype", "swayidle")
    put_into(monkeypatch, wayland.environment)
    async with agent(eventd, system_bus, session_bus) as guest, guest.events("SESSION_IDLE") as stream:
        event = await until(stream, "SESSION_IDLE")
        assert (event["idle"], event["source"]) == (True, "claimed")
        await anyio.to_thread.run_sync(wayland.run("wtype", "a").wait)
        event = await until(stream, "SESSION_IDLE")
        assert (event["idle"], event["source"]) == (False, "claimed")
        async with running(logind, system_bus, wayland, "swayidle -w idlehint 1"):
            event = await until(stream, "SESSION_IDLE")
            while event["source"] != "verified":
                event = await until(stream, "SESSION_IDLE")
            assert (event["idle"], event["said-by"][0]) == (True, "logind")
            await anyio.to_thread.run_sync(wayland.run("wtype", "a").wait)
            event = await until(stream, "SESSION_IDLE")
            assert (event["idle"], event["source"]) == (False, "verified")


LOCK_SCREEN = """#!/bin/sh
hint() {
    busctl --address=ADDRESS call org.freedesktop.login1 PATH org.freedesktop.login1.Session SetLockedHint b "$1"
}
{ swaylock -f 3>&1 >/dev/null && echo; } | { read -r _ && hint true; cat >/dev/null; hint false; }
"""
"""The script in docs/desktop.md, with an address."""

UNLOCK = """#!/bin/sh
for process in /proc/[0-9]*; do
    if [ "$(cat $process/comm 2>/dev/null)" = swaylock ] && grep -qs "$XDG_RUNTIME_DIR" $process/environ; then
        kill -USR1 ${process##*/}
    fi
done
"""
"""What `pkill -USR1 -x swaylock` does, to this compositor's alone."""


async def test_swaylock_by_way_of_a_script(
    wayland: Sway,
    logind: StandinLogind,
    eventd: Eventd,
    system_bus: PrivateBus,
    session_bus: PrivateBus,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    need_programs("swayidle", "swaylock", "busctl")
    put_into(monkeypatch, wayland.environment)
    reply = await logind.bus.call(*LOGIND, "GetSession", "s", [SESSION])
    script = tmp_path / "lock-screen"
    script.write_text(LOCK_SCREEN.replace("ADDRESS", system_bus.address).replace("PATH", reply.body[0]))
    (unlock := tmp_path / "unlock").write_text(UNLOCK)
    daemon = f"swayidle lock 'sh {script}' unlock 'sh {unlock}'"
    async with agent(eventd, system_bus, session_bus) as guest, running(logind, system_bus, wayland, daemon):
        while not (state := await guest.lock(SESSION)).confirmed:
            pass
        assert state.said_by == ["logind"]
        state = await guest.unlock(SESSION)
        assert (state.locked, state.confirmed) == (False, True)
