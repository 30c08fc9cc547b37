"""The stock agent against a stand-in logind, and what it does where there is none."""

import os
import pwd
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from guestmux_protocol.guest import GUEST
from guestmux_session.info_environment import display_server, relevant
from guestmux_session.lock_logind import LockLogind
from guestmux_session.stock import SessionAgent
from guestmux_transport.errors import CallError
from tests.session.conftest import Running
from tests.support.dbus_daemon import PrivateBus
from tests.support.standin_logind import StandinLogind, standin_logind
from tests.support.standin_manager import StandinManager, standin_manager
from tests.support.standin_notifications import standin_notifications

pytestmark = pytest.mark.anyio

LOCKED = {"locked": True, "confirmed": True, "said-by": ["logind"]}
UNLOCKED = {"locked": False, "confirmed": True, "said-by": ["logind"]}


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no screen locker answers, a test need not wait as a user would."""
    monkeypatch.setattr(LockLogind, "confirm_seconds", 0.05)
    monkeypatch.setattr(LockLogind, "follow_seconds", 0.02)


@pytest.fixture
async def logind(system_bus: PrivateBus) -> AsyncIterator[StandinLogind]:
    async with standin_logind(system_bus.address) as logind:
        await logind.control.login("alice", os.getuid(), id="c2", type="wayland", desktop="GNOME")
        yield logind


@asynccontextmanager
async def stock(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running
) -> AsyncIterator[StandinManager]:
    agent = SessionAgent(bus=system_bus.address, session_bus=session_bus.address)
    async with standin_manager(system_bus.address) as manager, running(agent):
        await manager.agent()
        yield manager


async def test_lock_and_unlock_wait_for_the_screen_locker(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running, logind: StandinLogind
) -> None:
    async with stock(system_bus, session_bus, running) as manager:
        agent = await manager.agent()
        assert await manager.call(agent, "session-lock") == LOCKED
        assert await manager.call(agent, "session-lock") == LOCKED
        assert await manager.call(agent, "session-unlock") == UNLOCKED


async def test_a_session_without_a_screen_locker_is_not_confirmed(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running, logind: StandinLogind
) -> None:
    await logind.control.set_locker("c2", present=False)
    async with stock(system_bus, session_bus, running) as manager:
        assert await manager.call(await manager.agent(), "session-lock") == {
            "locked": False,
            "confirmed": False,
        }


async def test_a_slow_screen_locker_is_waited_for(
    system_bus: PrivateBus,
    session_bus: PrivateBus,
    running: Running,
    logind: StandinLogind,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LockLogind, "confirm_seconds", 20.0)
    await logind.control.set_locker("c2", present=False)
    answers: list[object] = []
    async with stock(system_bus, session_bus, running) as manager:
        agent = await manager.agent()

        async def lock() -> None:
            answers.append(await manager.call(agent, "session-lock"))

        async with anyio.create_task_group() as group:
            group.start_soon(lock)
            # The agent reads the hint when the lock was asked for; a second call comes after that.
            await manager.call(agent, "session-get-info", call_id=2)
            await logind.control.set_locked("c2", locked=True)
    assert answers == [LOCKED]


async def test_logout_ends_the_session(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running, logind: StandinLogind
) -> None:
    async with stock(system_bus, session_bus, running) as manager:
        agent = await manager.agent()
        assert await manager.call(agent, "session-logout") == {}
        with pytest.raises(CallError, match="logind could not lock the session"):
            await manager.call(agent, "session-lock")


async def test_a_session_of_another_is_refused_by_logind(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running, logind: StandinLogind
) -> None:
    async with standin_manager(system_bus.address) as manager:
        manager.session = "c99"
        agent = SessionAgent(bus=system_bus.address, session_bus=session_bus.address)
        async with running(agent):
            with pytest.raises(CallError, match="logind could not end the session"):
                await manager.call(await manager.agent(), "session-logout")


async def test_info_tells_session_user_and_providers(
    system_bus: PrivateBus,
    session_bus: PrivateBus,
    running: Running,
    logind: StandinLogind,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for name in ("XDG_SESSION_TYPE", "XDG_CURRENT_DESKTOP", "WAYLAND_DISPLAY", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MY_PASSWORD", "secret")
    async with stock(system_bus, session_bus, running) as manager:
        info = await manager.call(await manager.agent(), "session-get-info")
    user = pwd.getpwuid(os.getuid())
    assert (info["session"], info["user"], info["uid"]) == ("c2", user.pw_name, os.getuid())
    assert (info["desktop"], info["display-server"]) == ("GNOME", "wayland")
    assert "MY_PASSWORD" not in info["environment"]
    assert info["providers"] == {
        "apps": f"{tmp_path}/wayland-0: No such file or directory",
        "clipboard": f"{tmp_path}/wayland-0: No such file or directory",
        "displays": f"{tmp_path}/wayland-0: No such file or directory",
        "idle": f"{tmp_path}/wayland-0: No such file or directory",
        "info-environment": "ok",
        "lock": "logind",
        "lock-logind": "ok",
        "logout-logind": "ok",
        "notify-freedesktop": "org.freedesktop.Notifications is not on the bus",
    }


async def test_what_the_platform_lacks_is_left_out_and_said(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    session_bus.kill()
    async with stock(system_bus, session_bus, running) as manager:
        agent = await manager.agent()
        assert not {"session-lock", "session-notify"} & agent.commands.keys()
        info = await manager.call(agent, "session-get-info")
    assert info["providers"]["lock-logind"] == "org.freedesktop.login1 is not on the bus"
    assert "no session bus" in info["providers"]["notify-freedesktop"]
    assert "lock-logind: left out: org.freedesktop.login1 is not on the bus" in caplog.text


async def test_everything_there_is_registered_at_once(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running, logind: StandinLogind
) -> None:
    async with (
        standin_notifications(session_bus.address),
        stock(system_bus, session_bus, running) as manager,
    ):
        agent = await manager.agent()
        assert set(agent.commands) - set(GUEST) == {
            "agent-install",
            "agent-list",
            "agent-logs",
            "agent-remove",
            "session-clipboard-clear",
            "session-clipboard-download",
            "session-clipboard-get",
            "session-clipboard-list",
            "session-clipboard-set",
            "session-clipboard-upload",
            "session-close-app",
            "session-focus-app",
            "session-get-idle",
            "session-get-info",
            "session-hold-idle",
            "session-inhibit-idle",
            "session-launch",
            "session-list-apps",
            "session-list-displays",
            "session-list-inhibitors",
            "session-list-installed",
            "session-lock",
            "session-logout",
            "session-notify",
            "session-notify-close",
            "session-open-uri",
            "session-set-displays",
            "session-uninhibit-idle",
            "session-unlock",
        }
        assert {"guest-exec", "guest-file-open", "guest-get-osinfo"} <= agent.commands.keys()
        assert manager.log == [("registered", "guestmux-session")]


async def test_what_comes_later_is_served_then(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running
) -> None:
    async with stock(system_bus, session_bus, running) as manager:
        assert "session-lock" not in (await manager.agent()).commands
        async with standin_logind(system_bus.address) as logind:
            await logind.control.login("alice", os.getuid(), id="c2")
            agent = await manager.agent_with("session-lock")
            assert (await manager.call(agent, "session-lock"))["locked"]
        await manager.agent_without("session-lock")


@pytest.mark.parametrize(
    ("environment", "session_type", "expected"),
    [
        ({}, "", "none"),
        ({}, "tty", "none"),
        ({}, "x11", "x11"),
        ({"XDG_SESSION_TYPE": "wayland", "DISPLAY": ":0"}, "x11", "wayland"),
        ({"XDG_SESSION_TYPE": "tty", "DISPLAY": "localhost:10"}, "tty", "x11"),
        ({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}, "", "wayland"),
    ],
)
def test_display_server(environment: dict[str, str], session_type: str, expected: str) -> None:
    assert display_server(environment, session_type) == expected


def test_only_relevant_variables_leave_the_session() -> None:
    environment = {"LANG": "C", "LC_ALL": "C", "AWS_SECRET": "x", "XDG_DATA_DIRS": "a\nb", "PATH": "/\udc80"}
    assert relevant(environment) == {"LANG": "C", "LC_ALL": "C"}
