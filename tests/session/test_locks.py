"""Locks: session-lock and session-unlock, and what the agent claims of screensavers."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from guestmux_session.desktop import lock_watch, screensaver
from guestmux_session.lock_logind import LockLogind
from guestmux_session.stock import SessionAgent
from guestmux_transport.errors import CallError, MethodError
from tests.session.conftest import Running
from tests.support.dbus_daemon import PrivateBus
from tests.support.standin_logind import StandinLogind, standin_logind
from tests.support.standin_manager import StandinManager, standin_manager
from tests.support.standin_screensaver import GNOME, standin_screensaver

pytestmark = pytest.mark.anyio

XFCE, CINNAMON = "org.xfce.ScreenSaver", "org.cinnamon.ScreenSaver"


@pytest.fixture
async def logind(system_bus: PrivateBus) -> AsyncIterator[StandinLogind]:
    async with standin_logind(system_bus.address) as logind:
        await logind.control.login("alice", os.getuid(), id="c2")
        yield logind


@pytest.fixture
async def no_locker(logind: StandinLogind, monkeypatch: pytest.MonkeyPatch) -> StandinLogind:
    """Nobody sets LockedHint; and a test need not wait for that as a user would."""
    monkeypatch.setattr(LockLogind, "follow_seconds", 0.05)
    await logind.control.set_locker("c2", present=False)
    return logind


@asynccontextmanager
async def stock(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running
) -> AsyncIterator[StandinManager]:
    agent = SessionAgent(bus=system_bus.address, session_bus=session_bus.address)
    async with standin_manager(system_bus.address) as manager, running(agent):
        await manager.agent()
        yield manager


def claims(manager: StandinManager) -> list[Any]:
    return [entry[2] for entry in manager.log if entry[:2] == ("claim", "locked")]


async def ask(manager: StandinManager, command: str) -> Any:
    return await manager.call(await manager.agent(), command)


# ---- session-lock and session-unlock


async def test_who_confirms_is_said(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running, logind: StandinLogind
) -> None:
    async with stock(system_bus, session_bus, running) as manager:
        assert await ask(manager, "session-lock") == {
            "locked": True,
            "confirmed": True,
            "said-by": ["logind"],
        }
        async with standin_screensaver(session_bus.address, active=True):
            answer = await ask(manager, "session-lock")
            assert answer == {"locked": True, "confirmed": True, "said-by": ["logind", GNOME]}


async def test_who_says_otherwise_is_said_too(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running, logind: StandinLogind
) -> None:
    async with (
        standin_screensaver(session_bus.address, XFCE) as saver,
        stock(system_bus, session_bus, running) as manager,
    ):
        answer = await ask(manager, "session-lock")
        assert answer == {
            "locked": True,
            "confirmed": True,
            "said-by": ["logind"],
            "values": {"logind": True, XFCE: False},
        }
        assert "Lock" not in saver.calls


@pytest.mark.parametrize("name", [GNOME, CINNAMON])
async def test_a_screensaver_is_asked_where_nobody_follows_logind(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running, no_locker: StandinLogind, name: str
) -> None:
    async with (
        standin_screensaver(session_bus.address, name) as saver,
        stock(system_bus, session_bus, running) as manager,
    ):
        values = {"logind": False, name: True}
        answer = {"locked": True, "confirmed": True, "said-by": [name], "values": values}
        assert await ask(manager, "session-lock") == answer
        assert await ask(manager, "session-lock") == answer
        assert saver.calls.count("Lock") == 1
        answer = {"locked": False, "confirmed": True, "said-by": ["logind", name]}
        assert await ask(manager, "session-unlock") == answer


async def test_one_that_refuses_to_unlock_leaves_it_locked(
    system_bus: PrivateBus,
    session_bus: PrivateBus,
    running: Running,
    no_locker: StandinLogind,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LockLogind, "confirm_seconds", 0.1)
    async with (
        standin_screensaver(session_bus.address, active=True, obeys=False),
        stock(system_bus, session_bus, running) as manager,
    ):
        values = {"logind": False, GNOME: True}
        assert await ask(manager, "session-unlock") == {"locked": True, "confirmed": False, "values": values}


async def test_one_that_never_answers_holds_a_lock_up_for_a_second(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running, logind: StandinLogind
) -> None:
    async with (
        standin_screensaver(session_bus.address, silent=True),
        stock(system_bus, session_bus, running) as manager,
    ):
        assert (await ask(manager, "session-lock"))["said-by"] == ["logind"]


async def test_the_clipboard_is_refused_while_a_screensaver_is_active(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running, logind: StandinLogind
) -> None:
    async with (
        standin_screensaver(session_bus.address, active=True) as saver,
        stock(system_bus, session_bus, running) as manager,
    ):
        with pytest.raises(CallError, match="screensaver is active"):
            await ask(manager, "session-clipboard-get")
        saver.turn(False)
        with pytest.raises(CallError) as caught:
            await ask(manager, "session-clipboard-get")
        assert "screensaver" not in caught.value.text


# ---- what is claimed


async def test_what_screensavers_say_is_claimed_while_hosts_want_to_know(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running, logind: StandinLogind
) -> None:
    async with (
        standin_screensaver(session_bus.address) as saver,
        stock(system_bus, session_bus, running) as manager,
    ):
        assert saver.calls == []
        manager.want("SESSION_LOCK")
        await manager.logged("claim", "locked", {GNOME: False})
        saver.turn(True)
        await manager.logged("claim", "locked", {GNOME: True})
        async with standin_screensaver(session_bus.address, XFCE):
            await manager.logged("claim", "locked", {GNOME: True, XFCE: False})
        manager.want()
        await manager.logged("claim", "locked", {})
        asked = len(saver.calls)
        saver.turn(False)
        await ask(manager, "session-get-info")
        assert saver.calls[asked:] == ["GetActive"]
        assert claims(manager)[-1] == {}


async def test_get_info_says_who_is_asked(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running, logind: StandinLogind
) -> None:
    async with standin_screensaver(session_bus.address), stock(system_bus, session_bus, running) as manager:
        assert (await ask(manager, "session-get-info"))["providers"]["lock"] == f"logind, {GNOME}"


async def test_a_screensaver_that_ends_says_nothing_any_more(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running, logind: StandinLogind
) -> None:
    async with stock(system_bus, session_bus, running) as manager:
        manager.want("SESSION_*")
        async with standin_screensaver(session_bus.address, active=True):
            await manager.logged("claim", "locked", {GNOME: True})
        await manager.logged("claim", "locked", {})
        manager.log.clear()
        async with standin_screensaver(session_bus.address, active=True):
            await manager.logged("claim", "locked", {GNOME: True})


async def test_another_session_bus_is_another_screensaver(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running, logind: StandinLogind
) -> None:
    async with stock(system_bus, session_bus, running) as manager:
        manager.want("SESSION_LOCK")
        async with standin_screensaver(session_bus.address, active=True):
            await manager.logged("claim", "locked", {GNOME: True})
            session_bus.kill()
            await manager.logged("claim", "locked", {})


# ---- screensavers that do not behave


async def test_one_that_changes_ten_thousand_times_a_second_is_not_listened_to(
    system_bus: PrivateBus,
    session_bus: PrivateBus,
    running: Running,
    logind: StandinLogind,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(screensaver, "REST_SECONDS", 0.5)
    monkeypatch.setattr(lock_watch, "REST_SECONDS", 0.05)
    async with (
        standin_screensaver(session_bus.address) as saver,
        stock(system_bus, session_bus, running) as manager,
    ):
        manager.want("SESSION_LOCK")
        await manager.logged("claim", "locked", {GNOME: False})
        for number in range(10_000):
            saver.turn(number % 2 == 0)
        # It is asked again after the rest, and a lock in the meantime is known then.
        await saver.asked("GetActive", 2)
        assert "changes all the time" in caplog.text
        assert len(claims(manager)) <= screensaver.MAX_SIGNALS
        saver.turn(True)
        manager.log.clear()
        if claims(manager) != [{GNOME: True}]:
            await manager.logged("claim", "locked", {GNOME: True})


async def test_one_that_answers_nonsense_says_nothing(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running, logind: StandinLogind
) -> None:
    async with (
        standin_screensaver(session_bus.address, nonsense=True) as saver,
        standin_screensaver(session_bus.address, XFCE) as other,
        stock(system_bus, session_bus, running) as manager,
    ):
        manager.want("SESSION_LOCK")
        await manager.logged("claim", "locked", {XFCE: False})
        saver.bus.emit(saver.path, GNOME, "ActiveChanged", "s", ["yes"])
        saver.bus.emit(saver.path, GNOME, "ActiveChanged", "", [])
        # Nobody but the owner of the name is believed.
        other.bus.emit(saver.path, GNOME, "ActiveChanged", "b", [True])
        other.turn(True)
        await manager.logged("claim", "locked", {XFCE: True})
        assert claims(manager) == [{XFCE: False}, {XFCE: True}]


async def test_an_eventd_that_takes_no_claims_is_let_be(
    system_bus: PrivateBus,
    session_bus: PrivateBus,
    running: Running,
    logind: StandinLogind,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with standin_screensaver(session_bus.address), stock(system_bus, session_bus, running) as manager:
        manager.claim_answer = MethodError("org.freedesktop.DBus.Error.UnknownMethod", "what is Claim?")
        manager.want("SESSION_LOCK")
        await manager.logged("claim refused")
        assert (await ask(manager, "session-lock"))["confirmed"]
        assert "eventd was not told: what is Claim?" in caplog.text
