"""`guestmux apps`, `guestmux displays`, and what they stand on."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from anyio.to_thread import run_sync

import guestmux
from guestmux.cli import exits
from guestmux.cli.app import run
from tests.support.standin_guest import Refused, StandInGuest

pytestmark = pytest.mark.anyio

Cli = Callable[..., Awaitable[tuple[int, str, str]]]

ON: dict[str, Any] = {
    "name": "Virtual-1",
    "connected": True,
    "enabled": True,
    "x": 0,
    "y": 0,
    "width": 640,
    "height": 360,
    "mode": {"width": 1280, "height": 720, "refresh": 59.94, "preferred": True},
    "scale": 2.0,
    "rotation": "normal",
    "mirrored": False,
    "primary": True,
    "make": "QEMU",
    "model": "Monitor\x1b[2J",
    "modes": [{"width": 1280, "height": 720, "refresh": 59.94}, {"width": 800, "height": 600, "refresh": 0}],
}
OFF: dict[str, Any] = {"name": "Virtual-2", "connected": True, "enabled": False, "modes": []}
EMPTY: dict[str, Any] = {"name": "Virtual-3", "connected": False, "enabled": False, "modes": []}


@pytest.fixture
def dialect() -> str:
    return "qmp"


@pytest.fixture
def cli(standin: StandInGuest, capfd: pytest.CaptureFixture[str]) -> Cli:
    async def cli(*arguments: str) -> tuple[int, str, str]:
        status = await run_sync(run, ["-c", standin.address, *arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return cli


@pytest.fixture
def displays(standin: StandInGuest) -> StandInGuest:
    standin.commands["session-list-displays"] = lambda _: {
        "displays": [ON, OFF, EMPTY],
        "truncated": False,
    }
    standin.commands["session-set-displays"] = lambda _: {"displays": [ON, {**OFF, "enabled": True}]}
    return standin


async def test_displays(cli: Cli, displays: StandInGuest) -> None:
    status, out, _ = await cli("displays", "list", "user:alice")
    assert status == exits.OK
    assert [line.split() for line in out.splitlines()] == [
        ["DISPLAY", "MODE", "PLACE", "SHOWS", "SCALE", "ROTATION", "MONITOR"],
        ["Virtual-1*", "1280x720@59.94", "+0+0", "640x360", "2", "normal", "QEMU", "Monitor\\x1b[2J"],
        ["Virtual-2", "off"],
    ]
    assert (await displays.until_asked("session-list-displays")).arguments["session"] == "user:alice"
    _, out, _ = await cli("displays", "list", "--all")
    assert "Virtual-3   nothing connected" in out
    _, out, _ = await cli("displays", "list", "--json")
    assert len(json.loads(out)["displays"]) == 3


async def test_modes(cli: Cli, displays: StandInGuest) -> None:
    assert await cli("displays", "modes", "Virtual-1") == (exits.OK, "1280x720@59.94\n800x600\n", "")
    status, _, err = await cli("displays", "modes", "HDMI-1")
    assert status == exits.USAGE
    assert "no display 'HDMI-1'" in err


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["A", "--mode", "1920x1080"], [{"name": "A", "width": 1920, "height": 1080}]),
        (
            ["A", "--mode", "800x600@59.94", "--place", "+10-20", "--scale", "1.5", "--rotate", "left"],
            [
                {
                    "name": "A",
                    "width": 800,
                    "height": 600,
                    "refresh": 59.94,
                    "x": 10,
                    "y": -20,
                    "scale": 1.5,
                    "rotation": "left",
                }
            ],
        ),
        (["A", "--primary", "--mirror"], [{"name": "A", "primary": True, "mirrored": True}]),
        (["A", "--off"], [{"name": "A", "enabled": False}]),
        (
            ["A=800x600@75+0+0", "B=+800+0", "C=off"],
            [
                {"name": "A", "width": 800, "height": 600, "refresh": 75.0, "x": 0, "y": 0},
                {"name": "B", "x": 800, "y": 0},
                {"name": "C", "enabled": False},
            ],
        ),
        (
            ["A=800x600", "--rotate", "right"],
            [{"name": "A", "width": 800, "height": 600, "rotation": "right"}],
        ),
    ],
)
async def test_set(
    cli: Cli, displays: StandInGuest, arguments: list[str], asked: list[dict[str, Any]]
) -> None:
    status, out, _ = await cli("displays", "set", *arguments)
    assert status == exits.OK
    assert "Virtual-1*" in out
    request = await displays.until_asked("session-set-displays")
    assert request.arguments == {"displays": asked, "test": False, "session": "active"}


async def test_a_test_says_nothing(cli: Cli, displays: StandInGuest) -> None:
    assert await cli("displays", "set", "A", "--on", "--test") == (exits.OK, "", "")
    assert (await displays.until_asked("session-set-displays")).arguments["test"] is True


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["A"], "nothing is to be set"),
        (["A", "B", "--off"], "for one display"),
        (["A=800"], "neither 'on', 'off' nor"),
        (["A="], "neither 'on', 'off' nor"),
        (["A", "--mode", "800x0"], "display 'A'"),
        (["A", "--place", "9+9"], "neither"),
        (["=on"], "display ''"),
    ],
)
async def test_what_is_no_setting(cli: Cli, displays: StandInGuest, arguments: list[str], error: str) -> None:
    status, _, err = await cli("displays", "set", *arguments)
    assert status == exits.USAGE
    assert error in err


async def test_a_refusal_is_the_guests(cli: Cli, displays: StandInGuest) -> None:
    def refuse(_: object) -> object:
        raise Refused("one display must stay on")

    displays.commands["session-set-displays"] = refuse
    status, _, err = await cli("displays", "set", "A", "--off")
    assert (status, err) == (exits.FAILED, "guestmux: the guest says: one display must stay on\n")


async def test_running_apps(cli: Cli, standin: StandInGuest) -> None:
    running = [
        {"app-id": "foot", "name": "Foot", "pid": 12, "windows": 2, "focused": True},
        {"app-id": "x\x1b", "name": "X", "windows": 0, "focused": False},
    ]
    standin.commands["session-list-apps"] = lambda _: {"apps": running, "truncated": True}
    status, out, err = await cli("apps", "list")
    assert (status, err) == (exits.OK, "guestmux: there are more than are told\n")
    assert [line.split() for line in out.splitlines()] == [
        ["APP", "NAME", "PID", "WINDOWS"],
        ["foot*", "Foot", "12", "2"],
        ["x\\x1b", "X"],
    ]
    running[0]["title"] = "a document"
    _, out, _ = await cli("apps", "list")
    assert out.splitlines()[1].endswith("a document")


async def test_installed_apps(cli: Cli, standin: StandInGuest) -> None:
    one = {
        "app-id": "org.example.Draw",
        "name": "Draw",
        "version": "1.2",
        "origin": "flatpak",
        "scope": "user",
        "categories": ["Graphics"],
        "hidden": False,
    }
    standin.commands["session-list-installed"] = lambda _: {"apps": [one], "truncated": False}
    status, out, _ = await cli("apps", "installed", "--hidden")
    assert status == exits.OK
    assert out.splitlines()[1].split() == ["org.example.Draw", "Draw", "1.2", "flatpak", "user"]
    asked = await standin.until_asked("session-list-installed")
    assert asked.arguments == {"hidden": True, "mime-types": False, "session": "active"}
    _, out, _ = await cli("apps", "installed", "--json")
    assert json.loads(out)["apps"] == [one]


async def test_launch_focus_and_close(cli: Cli, standin: StandInGuest) -> None:
    standin.commands["session-launch"] = lambda _: {"by": "gio"}
    standin.commands["session-focus-app"] = lambda _: {}
    standin.commands["session-close-app"] = lambda _: {"windows": 1}
    assert await cli("apps", "launch", "foot", "file:///a", "-s", "c2") == (exits.OK, "", "")
    asked = await standin.until_asked("session-launch")
    assert asked.arguments == {"app-id": "foot", "uris": ["file:///a"], "session": "c2"}
    assert await cli("apps", "focus", "foot") == (exits.OK, "", "")
    assert (await standin.until_asked("session-focus-app")).arguments == {
        "app-id": "foot",
        "session": "active",
    }
    assert await cli("apps", "close", "foot", "--pid", "12") == (exits.OK, "", "")
    assert (await standin.until_asked("session-close-app")).arguments["pid"] == 12
    assert await cli("apps", "close", "foot", "--json") == (exits.OK, '{"windows": 1}\n', "")


async def test_launch_a_uri_alone(cli: Cli, standin: StandInGuest) -> None:
    standin.commands["session-launch"] = lambda _: {"by": "xdg-open"}
    said = (exits.OK, '{"by": "xdg-open"}\n', "")
    assert await cli("apps", "launch", "https://example.org/", "--json") == said
    asked = await standin.until_asked("session-launch")
    assert asked.arguments == {"uris": ["https://example.org/"], "session": "active"}
    status, _, message = await cli("apps", "launch", "https://example.org/", "file:///a")
    assert (status, "several URIs need an application" in message) == (exits.USAGE, True)


async def test_the_library(displays: StandInGuest, guest: guestmux.Guest) -> None:
    found = await guest.displays("c2", wait=3)
    assert isinstance(found.displays[0], guestmux.Display)
    setting = guestmux.DisplaySetting(name="Virtual-2", width=800, height=600)
    after = await guest.set_displays([setting], "c2", test=True)
    assert [one.enabled for one in after.displays] == [True, True]
    asked = await displays.until_asked("session-set-displays")
    assert asked.arguments == {
        "displays": [{"name": "Virtual-2", "width": 800, "height": 600}],
        "test": True,
        "session": "c2",
    }
    displays.commands["session-launch"] = lambda _: {"by": "gio"}
    assert (await guest.launch(uris=["https://example.org"])).by == "gio"
    assert (await displays.until_asked("session-launch")).arguments["uris"] == ["https://example.org"]
