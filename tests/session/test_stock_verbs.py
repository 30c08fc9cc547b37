"""The stock agent's files and processes over D-Bus, as eventd calls them."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from guestmux_session.stock import SessionAgent
from guestmux_transport.errors import CallError
from tests.session.conftest import Running
from tests.support.dbus_daemon import PrivateBus
from tests.support.standin_manager import Registered, StandinManager, standin_manager
from tests.support.standin_user_manager import StandinUserManager, standin_user_manager

pytestmark = pytest.mark.anyio


class Host:
    """eventd's side of one agent."""

    def __init__(self, manager: StandinManager, agent: Registered) -> None:
        self._manager = manager
        self._agent = agent

    async def get(self, name: str, **arguments: Any) -> Any:
        named = {key.replace("_", "-"): value for key, value in arguments.items()}
        return await self._manager.call(self._agent, name, named)

    async def run(self, script: str, **more: Any) -> str:
        """Run a shell script to its end; gives its output."""
        pid = (await self.get("guest-exec", path="sh", arg=["-c", script], capture_output=True, **more))[
            "pid"
        ]
        while not (status := await self.get("guest-exec-status", pid=pid))["exited"]:
            pass
        assert status["exitcode"] == 0
        return base64.b64decode(status["out-data"]).decode()


@pytest.fixture
async def systemd(session_bus: PrivateBus) -> AsyncIterator[StandinUserManager]:
    async with standin_user_manager(session_bus.address) as systemd:
        systemd.environment = ["WAYLAND_DISPLAY=wayland-7"]
        yield systemd


@pytest.fixture
async def host(
    system_bus: PrivateBus, session_bus: PrivateBus, systemd: StandinUserManager, running: Running
) -> AsyncIterator[Host]:
    agent = SessionAgent(bus=system_bus.address, session_bus=session_bus.address)
    async with standin_manager(system_bus.address) as manager, running(agent):
        yield Host(manager, await manager.agent())


async def test_a_file_is_written_and_read(host: Host, tmp_path: Path) -> None:
    handle = await host.get("guest-file-open", path=str(tmp_path / "file"), mode="w+")
    text = base64.b64encode(b"hello").decode()
    assert await host.get("guest-file-write", handle=handle, buf_b64=text) == {"count": 5, "eof": False}
    assert (tmp_path / "file").read_bytes() == b"hello"
    assert await host.get("guest-file-seek", handle=handle, offset=0, whence="set") == {
        "position": 0,
        "eof": False,
    }
    assert await host.get("guest-file-read", handle=handle) == {"count": 5, "buf-b64": text, "eof": True}
    assert await host.get("guest-file-close", handle=handle) == {}
    with pytest.raises(CallError, match=f"handle '{handle}' has not been found"):
        await host.get("guest-file-read", handle=handle)


async def test_a_process_is_one_of_the_session(host: Host, systemd: StandinUserManager) -> None:
    assert await host.run("echo $WAYLAND_DISPLAY $A", env=["A=b"]) == "wayland-7 b\n"
    assert [scope.properties["Slice"] for scope in systemd.scopes] == ["app.slice"]


async def test_what_the_desktop_has_told_the_users_systemd_is_told(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE"):
        monkeypatch.delenv(name, raising=False)
    info = await host.get("session-get-info")
    assert info["display-server"] == "wayland"
    assert info["environment"]["WAYLAND_DISPLAY"] == "wayland-7"


async def test_a_live_process_on_a_terminal(host: Host) -> None:
    terminal = {"rows": 24, "columns": 80}
    pid = (await host.get("guest-exec-live", path="sh", arg=["-c", "stty size; read x"], terminal=terminal))[
        "pid"
    ]
    out = b""
    while b"24 80" not in out:
        answer = await host.get("guest-exec-read", pid=pid, linger=20)
        out += base64.b64decode(answer["out-data"])
    await host.get("guest-exec-close", pid=pid)


async def test_what_hosts_left_open_ends_with_the_eventd_that_knew_it(
    system_bus: PrivateBus,
    session_bus: PrivateBus,
    systemd: StandinUserManager,
    running: Running,
    tmp_path: Path,
) -> None:
    agent = SessionAgent(bus=system_bus.address, session_bus=session_bus.address)
    async with running(agent):
        async with standin_manager(system_bus.address) as manager:
            host = Host(manager, await manager.agent())
            handle = await host.get("guest-file-open", path=str(tmp_path / "file"), mode="w")
            pid = (await host.get("guest-exec-live", path="cat"))["pid"]
        async with standin_manager(system_bus.address) as manager:
            host = Host(manager, await manager.agent())
            with pytest.raises(CallError, match=f"handle '{handle}' has not been found"):
                await host.get("guest-file-flush", handle=handle)
            with pytest.raises(CallError, match=f"{pid}"):
                await host.get("guest-exec-read", pid=pid)
