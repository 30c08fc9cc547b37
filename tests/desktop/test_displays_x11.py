"""The displays of real X servers, beside xrandr."""

from __future__ import annotations

import re
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux_protocol.display_commands import DisplaySetting
from guestmux_session.desktop import randr_wire as randr
from guestmux_session.desktop import x11_wire as x11
from guestmux_session.desktop.outputs_x11 import X11Outputs
from guestmux_session.desktop.randr_change import RandrChange
from guestmux_session.desktop.x11_connection import connect_x11
from guestmux_transport.errors import CallError
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import DesktopAgent, desktop_agent, put_into
from tests.support.display_calls import listed, set_displays, watched
from tests.support.needed_programs import need_programs
from tests.support.x_server import XServer
from tests.support.xorg import xorg

pytestmark = pytest.mark.anyio

EDID_SERIAL = b"S3CR3T-1234"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[XServer]:
    need_programs("Xorg", "xrandr")
    with xorg(tmp_path) as server:
        yield server


@pytest.fixture
async def agent(
    server: XServer, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DesktopAgent]:
    put_into(monkeypatch, server.environment)
    async with desktop_agent(system_bus, session_bus) as agent:
        yield agent


def shown(server: XServer) -> dict[str, str]:
    """What xrandr says of each output that is on: its area."""
    found = re.findall(r"^(\S+) connected (?:primary )?(\d\S+)", server.ask("xrandr", "-q"), re.MULTILINE)
    return dict(found)


def changing(server: XServer) -> Callable[[int], object]:
    """Sets the first display to a width, by another program."""
    return lambda width: server.ask("xrandr", "--output", "DUMMY0", "--mode", f"{width}x{width * 3 // 4}")


def modes(server: XServer) -> list[str]:
    """The names of all modes."""
    return [line.split()[0] for line in server.ask("xrandr", "-q").splitlines() if line.startswith("   ")]


async def test_what_there_is(agent: DesktopAgent, server: XServer) -> None:
    displays = await listed(agent)
    first = displays["DUMMY0"]
    assert (first["connected"], first["enabled"], first["primary"]) == (True, True, True)
    assert [first[name] for name in ("x", "y", "width", "height", "scale")] == [0, 0, 1024, 768, 1]
    assert first["mode"] == {"width": 1024, "height": 768, "refresh": 85.0, "preferred": True}
    assert first["rotation"] == "normal"
    assert {"width": 800, "height": 600, "refresh": 75.0, "preferred": False} in first["modes"]
    assert (displays["DUMMY5"]["connected"], displays["DUMMY5"]["enabled"]) == (False, False)
    assert "width" not in displays["DUMMY5"]
    assert (await agent.call("session-get-info"))["providers"]["displays"] == "x11-randr"


async def test_one_of_its_modes(agent: DesktopAgent, server: XServer) -> None:
    after = await set_displays(agent, {"name": "DUMMY0", "width": 800, "height": 600, "refresh": 60})
    assert after["DUMMY0"]["mode"]["refresh"] == 60.32
    assert shown(server) == {"DUMMY0": "800x600+0+0"}
    assert "current 800 x 600" in server.ask("xrandr", "-q")


async def test_any_size_again_and_again_leaves_nothing_behind(agent: DesktopAgent, server: XServer) -> None:
    before = modes(server)
    for width in range(1001, 1011):
        after = await set_displays(agent, {"name": "DUMMY0", "width": width, "height": 777})
        assert shown(server) == {"DUMMY0": f"{width}x777+0+0"}
    assert after["DUMMY0"]["mode"] == {"width": 1010, "height": 777, "refresh": 60.0, "preferred": False}
    assert [mode for mode in modes(server) if mode not in before] == ["guestmux-1010x777-60"]
    await set_displays(agent, {"name": "DUMMY0", "width": 1024, "height": 768})
    assert modes(server) == before


async def test_a_second_display_on_and_off(agent: DesktopAgent, server: XServer) -> None:
    await set_displays(agent, {"name": "DUMMY1", "width": 1234, "height": 567})
    assert shown(server) == {"DUMMY0": "1024x768+0+0", "DUMMY1": "1234x567+1024+0"}
    await set_displays(
        agent,
        {"name": "DUMMY0", "width": 640, "height": 480, "x": 0, "y": 567},
        {"name": "DUMMY1", "x": 0, "y": 0, "primary": True},
    )
    assert shown(server) == {"DUMMY0": "640x480+0+567", "DUMMY1": "1234x567+0+0"}
    assert "DUMMY1 connected primary" in server.ask("xrandr", "-q")
    await set_displays(agent, {"name": "DUMMY1", "enabled": False})
    # All together begin at the corner.
    assert shown(server) == {"DUMMY0": "640x480+0+0"}


async def test_two_displays_of_one_new_size(agent: DesktopAgent, server: XServer) -> None:
    size = {"width": 999, "height": 555}
    await set_displays(agent, {"name": "DUMMY0", **size}, {"name": "DUMMY1", **size, "x": -999, "y": 0})
    assert shown(server) == {"DUMMY0": "999x555+999+0", "DUMMY1": "999x555+0+0"}


async def test_a_test_changes_nothing(agent: DesktopAgent, server: XServer) -> None:
    before = server.ask("xrandr", "--verbose")
    answer = await set_displays(agent, {"name": "DUMMY0", "width": 1111, "height": 222}, test=True)
    assert answer["DUMMY0"]["width"] == 1024
    assert server.ask("xrandr", "--verbose") == before


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ([{"name": "HDMI-1"}], "no display 'HDMI-1'"),
        ([{"name": "DUMMY0"}, {"name": "DUMMY0"}], "named twice"),
        ([{"name": "DUMMY0", "width": 800}], "'width' and 'height' go together"),
        ([{"name": "DUMMY0", "refresh": 60}], "'refresh' goes with"),
        ([{"name": "DUMMY0", "enabled": False, "x": 1, "y": 1}], "one or the other"),
        ([{"name": "DUMMY0", "enabled": False}], "one display must stay on"),
        ([{"name": "DUMMY0", "scale": 2}], "X11 has no scale"),
        ([{"name": "DUMMY0", "rotation": "left"}], "cannot be turned"),
        ([{"name": "DUMMY3", "enabled": True}], "has no mode"),
        ([{"name": "DUMMY0", "width": 9999, "height": 9999, "refresh": 900}], "pixels a second"),
        ([{"name": "DUMMY1", "width": 800, "height": 600, "x": 32767, "y": 0}], "33567x768; the X server"),
    ],
)
async def test_what_cannot_be(
    agent: DesktopAgent, server: XServer, settings: list[dict[str, Any]], error: str
) -> None:
    with pytest.raises(CallError, match=error):
        await set_displays(agent, *settings)
    assert shown(server) == {"DUMMY0": "1024x768+0+0"}


async def test_what_the_server_refuses_leaves_everything_as_it_was(
    agent: DesktopAgent, server: XServer
) -> None:
    await set_displays(agent, {"name": "DUMMY1", "width": 1234, "height": 567})
    big = {"width": 16_000, "height": 16_000, "refresh": 10}
    with pytest.raises(CallError, match="does not set its displays so"):
        await set_displays(agent, {"name": "DUMMY0", "x": 1, "y": 1}, {"name": "DUMMY1", **big})
    assert shown(server) == {"DUMMY0": "1024x768+0+0", "DUMMY1": "1234x567+1024+0"}
    assert modes(server).count("guestmux-16000x16000-10") == 0


async def test_a_host_that_goes_away_in_the_middle(server: XServer, monkeypatch: pytest.MonkeyPatch) -> None:
    middle, on = anyio.Event(), anyio.Event()
    resize = RandrChange._resize

    async def stopped(change: RandrChange, size: tuple[int, int]) -> None:
        middle.set()
        await on.wait()
        await resize(change, size)

    monkeypatch.setattr(RandrChange, "_resize", stopped)
    x = await connect_x11(server.environment["DISPLAY"], server.environment["XAUTHORITY"])
    setting = DisplaySetting(name="DUMMY0", width=1234, height=567)
    async with anyio.create_task_group() as group:
        group.start_soon(partial(X11Outputs(x).set, [setting], test=False))
        await middle.wait()
        group.cancel_scope.cancel()
        on.set()
    assert shown(server) == {"DUMMY0": "1234x567+0+0"}
    x.close()


async def test_who_made_a_monitor_but_not_its_serial_number(agent: DesktopAgent, server: XServer) -> None:
    block = bytearray(128)
    block[:8] = b"\0\xff\xff\xff\xff\xff\xff\0"
    block[8:10] = (18 << 10 | 8 << 5 | 20).to_bytes(2, "big")
    block[54:72] = b"\0\0\0\xfc\0" + b"Monitor\n     "
    block[72:90] = b"\0\0\0\xff\0" + EDID_SERIAL + b"\n "
    await put_edid(server, bytes(block))
    told = await listed(agent)
    assert (told["DUMMY0"]["make"], told["DUMMY0"]["model"]) == ("RHT", "Monitor")
    assert EDID_SERIAL.decode() not in repr(told)


async def test_modes_without_end(agent: DesktopAgent, server: XServer) -> None:
    x = await connect_x11(server.environment["DISPLAY"], server.environment["XAUTHORITY"])
    opcode = x11.extension_of(await x.ask(x11.query_extension("RANDR")))
    assert opcode is not None
    await x.ask(randr.query_version(opcode))
    for number in range(randr.MAX_MODES):
        mode = randr.Mode(0, 700, 500, 1_000_000, (710, 720, 730), (510, 520, 530), name=b"%d" % number)
        x.tell(randr.create_mode(opcode, x.setup.root, mode))
    resources = randr.resources_of(await x.ask(randr.get_resources(opcode, x.setup.root)))
    assert len(resources.modes) == randr.MAX_MODES
    await set_displays(agent, {"name": "DUMMY0", "width": 800, "height": 600})
    assert shown(server) == {"DUMMY0": "800x600+0+0"}
    x.close()


async def put_edid(server: XServer, block: bytes) -> None:
    """Have the first output say this, as a driver does."""
    x = await connect_x11(server.environment["DISPLAY"], server.environment["XAUTHORITY"])
    opcode = x11.extension_of(await x.ask(x11.query_extension("RANDR")))
    assert opcode is not None
    await x.ask(randr.query_version(opcode))
    output = randr.resources_of(await x.ask(randr.get_resources(opcode, x.setup.root))).outputs[0]
    atom = (await x.atoms("EDID"))["EDID"]
    head = struct.pack("<IIIBBxxI", output, atom, 19, 8, 0, len(block))
    await x.done(x11.request(opcode, 13, head + block))
    x.close()


async def test_changes_are_told_once_they_have_come_to_rest(agent: DesktopAgent, server: XServer) -> None:
    await watched(agent, changing(server), (640, 1024))
    server.ask("xrandr", "--output", "DUMMY0", "--mode", "800x600")
    server.ask("xrandr", "--output", "DUMMY0", "--mode", "640x480")
    told = await agent.until_told("DISPLAY_CHANGED")
    assert [(one["name"], one["width"]) for one in told["displays"]] == [("DUMMY0", 640)]
    assert "modes" not in told["displays"][0]
    assert len(agent.told) == 1


async def test_a_server_that_crashes_and_comes_back(agent: DesktopAgent, server: XServer) -> None:
    await watched(agent, changing(server), (1024, 640))
    server.crash()
    with pytest.raises(CallError, match="cannot be reached"):
        await listed(agent)
    server.restart()
    told = await agent.until_told("DISPLAY_CHANGED")
    assert told["displays"][0]["width"] == 1024


async def test_a_screen_of_fixed_size(
    bare_x: XServer, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_into(monkeypatch, bare_x.environment)
    async with desktop_agent(system_bus, session_bus) as agent:
        assert (await listed(agent))["screen"]["width"] == 640
        with pytest.raises(CallError, match="640x480 at the most"):
            await set_displays(agent, {"name": "screen", "width": 641, "height": 480})
        assert (await set_displays(agent, {"name": "screen", "width": 600, "height": 300}))["screen"][
            "width"
        ] == 600
