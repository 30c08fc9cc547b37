"""The GNOME Shell extension of examples/: under GJS against a stand-in, and in a real GNOME Shell if there is one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.support.dbus_daemon import PrivateBus, private_bus
from tests.support.eventd import running_eventd
from tests.support.gnome_extension import EXTENSION, UUID, for_gjs, for_gnome_shell
from tests.support.host import RawHost
from tests.support.needed_programs import need_programs
from tests.support.standin_logind import standin_logind

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

SETTLED = 3.0
"""Seconds: longer than animations take."""

needs_gnome = pytest.mark.skipif(
    not shutil.which("gnome-shell"), reason="gnome-shell, 350 MB, is not installed"
)


@pytest.fixture
def bus() -> Iterator[PrivateBus]:
    with private_bus() as bus:
        yield bus


@pytest.fixture
async def host(bus: PrivateBus) -> AsyncIterator[RawHost]:
    async with standin_logind(bus.address) as logind:
        await logind.control.login("tester", os.getuid(), id="c1")
        with running_eventd(bus.address) as eventd:
            yield await eventd.qmp_host()


class Shell:
    """A stand-in with the extension in it."""

    def __init__(self, process: Process) -> None:
        assert process.stdin
        assert process.stdout
        self._input = process.stdin
        self._output = BufferedByteReceiveStream(process.stdout)

    async def tell(self, line: str) -> None:
        await self._input.send(line.encode() + b"\n")

    async def says(self) -> str:
        return (await self._output.receive_until(b"\n", 1000)).decode()


@asynccontextmanager
async def standin_shell(bus: PrivateBus, folder: Path) -> AsyncIterator[Shell]:
    need_programs("gjs")
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": bus.address}
    command = ["gjs", "-m", str(for_gjs(folder))]
    async with await anyio.open_process(command, env=environment, stderr=None) as process:
        yield Shell(process)
        assert process.stdin
        await process.stdin.aclose()
        assert await process.wait() == 0


def app(event: dict[str, Any]) -> tuple[Any, ...]:
    return event.get("app-id"), event.get("name"), event.get("pid")


async def test_it_tells_of_applications(bus: PrivateBus, host: RawHost, tmp_path: Path) -> None:
    await host.subscribe("AGENT_REGISTERED", "APP_*")
    async with standin_shell(bus, tmp_path) as shell:
        registered = await host.event("AGENT_REGISTERED")
        assert registered["commands"] == ["session-close-app", "session-focus-app", "session-list-apps"]
        await shell.tell("open org.gnome.TextEditor.desktop Editor 100 editor")
        assert app(await host.event("APP_STARTED")) == ("org.gnome.TextEditor", "Editor", 100)
        # Of no desktop file, and of no name yet.
        await shell.tell("open window:1 Unknown 200")
        await shell.tell("open window:2 Xterm 201 xterm")
        assert app(await host.event("APP_STARTED")) == ("xterm", "Xterm", 201)
        await shell.tell("focus window:2")
        assert app(await host.event("APP_FOCUSED")) == ("xterm", "Xterm", 201)
        listed = (await host.ask("session-list-apps", session="c1"))["return"]
        assert [(each["app-id"], each["windows"], each["focused"]) for each in listed["apps"]] == [
            ("org.gnome.TextEditor", 1, False),
            ("xterm", 1, True),
        ]
        await shell.tell("exit window:2")
        assert app(await host.event("APP_EXITED")) == ("xterm", "Xterm", 201)
        await shell.tell("focus nothing")
        assert app(await host.event("APP_FOCUSED")) == (None, None, None)


async def test_it_focuses_and_closes(bus: PrivateBus, host: RawHost, tmp_path: Path) -> None:
    await host.subscribe("APP_*", "AGENT_REGISTERED", "AGENT_GONE")
    async with standin_shell(bus, tmp_path) as shell:
        await host.event("AGENT_REGISTERED")
        await shell.tell("open a.desktop A 100 a")
        await host.event("APP_STARTED")
        asked = await host.ask("session-focus-app", session="c1", **{"app-id": "a.desktop"})
        assert asked["return"] == {}
        # Once more when the overview has let go the keyboard.
        assert [await shell.says(), await shell.says()] == ["activate a.desktop 1234"] * 2
        assert app(await host.event("APP_FOCUSED")) == ("a", "A", 100)
        closed = await host.ask("session-close-app", session="c1", **{"app-id": "a"}, pid=100)
        assert closed["return"] == {"windows": 1}
        assert await shell.says() == "delete a.desktop 1234"
        refused = await host.ask("session-close-app", session="c1", **{"app-id": "a"}, pid=5)
        assert refused["error"]["desc"].startswith("no application 'a' is running")
        await shell.tell("disable")
        assert (await host.event("AGENT_GONE"))["reason"] == "unregistered"


async def test_it_is_an_agent_as_agents_have_to_be(tmp_path: Path) -> None:
    need_programs("gjs")
    # With an input that does not end while it is looked at.
    program = ["sh", "-c", f"tail -f /dev/null | gjs -m {for_gjs(tmp_path)}"]
    command = [sys.executable, "-m", "guestmux_session", "check-agent", "org.guestmux.gnome-shell", "--json"]
    options = ["--call", "session-list-apps", "--", *program]
    done = await anyio.run_process([*command, *options], check=False)
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    assert [finding for finding in findings if finding["status"] == "FAIL"] == []
    assert "session-list-apps" in {finding["check"] for finding in findings if finding["status"] == "PASS"}
    assert done.returncode == 0


def test_its_metadata_name_what_there_is() -> None:
    metadata = json.loads((EXTENSION / "metadata.json").read_text())
    assert metadata["uuid"] == UUID
    assert {"name", "description", "shell-version"} <= metadata.keys()
    assert metadata["shell-version"] == [str(version) for version in range(45, 50)]
    imported = {
        name
        for file in EXTENSION.glob("*.js")
        for name in re.findall(r"from '\./([a-z]+\.js)'", file.read_text())
    }
    assert imported == {file.name for file in EXTENSION.glob("*.js")} - {"extension.js"}


@contextmanager
def gnome_shell(bus: PrivateBus, home: Path) -> Iterator[dict[str, str]]:
    """A real GNOME Shell without a screen; gives the variables for its clients."""
    said = subprocess.run(["gnome-shell", "--version"], check=True, capture_output=True, text=True).stdout
    for_gnome_shell(home, int(said.split()[-1].split(".")[0]))
    (runtime := home / "run").mkdir(mode=0o700)
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(runtime),
        "XDG_SESSION_ID": "c1",
        "XDG_SESSION_TYPE": "wayland",
        "XDG_CURRENT_DESKTOP": "GNOME",
        "DBUS_SYSTEM_BUS_ADDRESS": bus.address,
        "GSETTINGS_BACKEND": "keyfile",
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "WAYLAND_DISPLAY": "guestmux-test",
    }
    environment.pop("DISPLAY", None)
    command = ["dbus-run-session", "--", "gnome-shell", "--headless", "--virtual-monitor", "1024x768"]
    command += ["--no-x11", "--wayland-display", environment["WAYLAND_DISPLAY"]]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            yield environment
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)


async def focus(host: RawHost, app_id: str) -> None:
    """Ask until it has the focus: a shell that is just starting shows its overview, and heeds nobody."""
    while await focused(host) != app_id:
        asked = await host.ask("session-focus-app", session="c1", **{"app-id": app_id})
        assert asked == {"return": {}, "id": "session-focus-app"}
        with anyio.move_on_after(SETTLED):
            while (await host.event("APP_FOCUSED")).get("app-id") != app_id:
                pass


async def focused(host: RawHost) -> str | None:
    listed = (await host.ask("session-list-apps", session="c1"))["return"]["apps"]
    return next((each["app-id"] for each in listed if each["focused"]), None)


def terminal(app_id: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["foot", f"--app-id={app_id}"], env=environment, stderr=subprocess.DEVNULL)


@needs_gnome
async def test_a_real_gnome_shell(bus: PrivateBus, host: RawHost, tmp_path: Path) -> None:
    await host.subscribe("AGENT_REGISTERED", "APP_*")
    with gnome_shell(bus, tmp_path) as environment:
        registered = await host.event("AGENT_REGISTERED")
        assert registered["agent"] == "org.guestmux.gnome-shell", (tmp_path / "log").read_text()
        windows = []
        for app_id in ("foot", "org.example.nowhere"):
            windows.append(terminal(app_id, environment))
            started = await host.event("APP_STARTED")
            assert (started["app-id"], started["pid"]) == (app_id, windows[-1].pid)
        # Out of the overview, where no window has the focus, and to another.
        for app_id in ("foot", "org.example.nowhere"):
            await focus(host, app_id)
        listed = (await host.ask("session-list-apps", session="c1"))["return"]["apps"]
        assert {each["app-id"]: each["focused"] for each in listed} == {
            "foot": False,
            "org.example.nowhere": True,
        }
        for app_id, window in zip(("foot", "org.example.nowhere"), windows, strict=True):
            closed = await host.ask("session-close-app", session="c1", **{"app-id": app_id})
            assert closed["return"] == {"windows": 1}
            assert (await host.event("APP_EXITED"))["app-id"] == app_id
            window.wait(20)
