"""Outputs of a compositor that says what the test wants, for what sway without a screen does not do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec import UNSET, convert

from guestmux_protocol.display_commands import DisplaySetting
from guestmux_session.desktop.errors import DisplayUnavailable
from guestmux_session.desktop.outputs_wayland import WlrOutputs
from guestmux_session.desktop.wayland_connection import connect_wayland
from guestmux_session.desktop.wayland_heads import MAX_HEADS, WaylandHeads
from guestmux_session.desktop.wayland_protocols import SEAT
from guestmux_session.errors import CommandError
from guestmux_session.pulse import Pulse
from tests.support.standin_compositor import standin_compositor
from tests.support.standin_outputs import StandinOutputs, standin_outputs

pytestmark = pytest.mark.anyio


@pytest.fixture
async def compositor(tmp_path: Path) -> AsyncIterator[StandinOutputs]:
    async with standin_outputs(tmp_path / "wayland-0") as compositor:
        compositor.has("A", (1920, 1080), (800, 600))
        compositor.has("B", (640, 480), (1280, 720), enabled=False)
        yield compositor


@pytest.fixture
async def heads(compositor: StandinOutputs, tmp_path: Path) -> AsyncIterator[WaylandHeads]:
    heads = WaylandHeads(await connect_wayland(tmp_path / "wayland-0"))
    await heads.start()
    yield heads
    heads.close()


@pytest.fixture
def outputs(heads: WaylandHeads) -> WlrOutputs:
    return WlrOutputs(heads)


def settings(*given: dict[str, Any]) -> list[DisplaySetting]:
    return convert([*given], list[DisplaySetting])


async def test_what_it_says(outputs: WlrOutputs) -> None:
    a, b = (await outputs.displays()).displays
    assert (a.enabled, a.width, a.height, a.scale) == (True, 960, 540, 2.0)
    assert [(mode.width, mode.preferred) for mode in a.modes] == [(1920, True), (800, False)]
    assert (b.enabled, b.mode, [mode.width for mode in b.modes]) == (False, UNSET, [1280, 640])


async def test_everything_is_told_and_tested_first(compositor: StandinOutputs, outputs: WlrOutputs) -> None:
    await outputs.set(settings({"name": "B", "enabled": True}), test=False)
    (kept, *as_it_was), (mode, *others) = compositor.configured["A"], compositor.configured["B"]
    assert (kept[0], as_it_was) == (
        "set_mode",
        [("set_position", 0, 0), ("set_transform", 0), ("set_scale", 2.0)],
    )
    # Its preferred mode, right of what A shows.
    assert mode[0] == "set_mode"
    assert others == [("set_position", 960, 0), ("set_transform", 0), ("set_scale", 1.0)]
    assert [request for _, request, _ in compositor.asked if request in ("test", "apply")] == [
        "test",
        "apply",
    ]


async def test_a_test_is_only_that(compositor: StandinOutputs, outputs: WlrOutputs) -> None:
    await outputs.set(settings({"name": "A", "width": 801, "height": 601, "refresh": 50}), test=True)
    assert compositor.configured["A"][0] == ("set_custom_mode", 801, 601, 50_000)
    assert compositor.configured["B"] == "off"
    assert "apply" not in [request for _, request, _ in compositor.asked]


async def test_what_was_overtaken_is_asked_once_more(compositor: StandinOutputs, outputs: WlrOutputs) -> None:
    compositor.outcomes = ["succeeded", "cancelled"]
    compositor.done()
    await outputs.set(settings({"name": "A", "width": 800, "height": 600}), test=False)
    assert len(compositor.serials) == 4
    compositor.outcomes = ["cancelled", "cancelled"]
    with pytest.raises(CommandError, match="just changing"):
        await outputs.set(settings({"name": "A", "width": 800, "height": 600}), test=False)


@pytest.mark.parametrize("outcomes", [["failed"], ["succeeded", "failed"]])
async def test_what_it_refuses(compositor: StandinOutputs, outputs: WlrOutputs, outcomes: list[str]) -> None:
    compositor.outcomes = outcomes
    with pytest.raises(CommandError, match="does not set its outputs so"):
        await outputs.set(settings({"name": "A", "width": 800, "height": 600}), test=False)


async def test_outputs_that_come_and_go(
    compositor: StandinOutputs, heads: WaylandHeads, outputs: WlrOutputs
) -> None:
    for _ in range(3):
        head = compositor.plug("C", (800, 600))
        compositor.done()
        await heads.sync()
        assert [one.name for one in (await outputs.displays()).displays] == ["A", "B", "C"]
        compositor.unplug(head)
        compositor.done()
        await heads.sync()
        assert [one.name for one in (await outputs.displays()).displays] == ["A", "B"]
        # The head and its mode were let go, so that their numbers can be given again.
        await heads.sync()
        assert [request for _, request, _ in compositor.asked].count("release") == 2
        compositor.asked.clear()


async def test_outputs_without_end(
    compositor: StandinOutputs, heads: WaylandHeads, outputs: WlrOutputs
) -> None:
    for number in range(MAX_HEADS):
        compositor.plug(f"X{number}", (800, 600))
    compositor.done()
    displays = await outputs.displays()
    assert (len(displays.displays), displays.truncated, len(heads.heads)) == (32, True, MAX_HEADS)
    with pytest.raises(CommandError, match="more displays than can be set"):
        await outputs.set(settings({"name": "A", "width": 800, "height": 600}), test=False)


async def test_changes_are_told(compositor: StandinOutputs, outputs: WlrOutputs) -> None:
    told = Pulse()
    async with anyio.create_task_group() as group:
        group.start_soon(outputs.follow, told.beat)
        await anyio.wait_all_tasks_blocked()
        compositor.plug("C", (800, 600))
        compositor.done()
        await told.wait_beyond(0)
        group.cancel_scope.cancel()


async def test_a_compositor_that_tells_nobody(tmp_path: Path) -> None:
    async with standin_compositor(tmp_path / "wayland-1", SEAT):
        heads = WaylandHeads(await connect_wayland(tmp_path / "wayland-1"))
        with pytest.raises(DisplayUnavailable, match="no output management"):
            await heads.start()
        heads.close()
