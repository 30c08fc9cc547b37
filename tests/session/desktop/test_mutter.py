"""What Mutter is told, worked out for monitors that tests have not; and a Mutter that changes its mind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, convert

from guestmux_protocol.display_commands import DisplaySetting
from guestmux_session.desktop.errors import DisplayUnavailable
from guestmux_session.desktop.mutter_state import (
    STATE,
    Monitor,
    MonitorMode,
    MutterState,
    Shown,
    configuration,
    read_state,
    wanted_of,
)
from guestmux_session.desktop.outputs_mutter import MutterOutputs
from guestmux_session.desktop.user_manager import UserManager
from guestmux_session.errors import CommandError
from guestmux_transport.errors import CallError
from guestmux_transport.values import Variant

pytestmark = pytest.mark.anyio

LARGE = MonitorMode("large", 3840, 2160, 60.0, (1.0, 1.4986, 2.0), current=True, preferred=True)
SMALL = MonitorMode("small", 1920, 1080, 60.0, (1.0, 2.0))


def monitor(name: str) -> Monitor:
    return Monitor(name, "ACM", "Screen", (SMALL, LARGE), (600, 340))


def state(**shown: Shown) -> MutterState:
    return MutterState(7, {name: monitor(name) for name in ("A", "B")}, shown, scaled=True)


def settings(*given: dict[str, Any]) -> list[DisplaySetting]:
    return convert([*given], list[DisplaySetting])


ALONE = state(A=Shown(LARGE, 0, 0, 2.0, 0, primary=True))
CLONES = state(A=Shown(LARGE, 0, 0, 2.0, 0, primary=True), B=Shown(LARGE, 0, 0, 2.0, 0, primary=True))


def test_one_more_is_right_of_what_the_other_shows() -> None:
    wanted = wanted_of(ALONE, settings({"name": "B", "enabled": True}))
    assert configuration(wanted) == [
        (0, 0, 2.0, 0, True, [("A", "large", {})]),
        (1920, 0, 1.0, 0, False, [("B", "large", {})]),
    ]


def test_a_scale_is_the_nearest_that_the_mode_has() -> None:
    assert wanted_of(ALONE, settings({"name": "A", "scale": 1.5}))["A"].scale == 1.4986
    assert wanted_of(ALONE, settings({"name": "A", "scale": 1.75}))["A"].scale == 1.75


def test_two_that_show_the_same() -> None:
    assert configuration(wanted_of(CLONES, settings({"name": "A", "rotation": "normal"}))) == [
        (0, 0, 2.0, 0, True, [("A", "large", {}), ("B", "large", {})])
    ]
    apart = configuration(wanted_of(CLONES, settings({"name": "B", "x": -1920, "y": 0})))
    assert apart == [
        (1920, 0, 2.0, 0, True, [("A", "large", {})]),
        (0, 0, 2.0, 0, False, [("B", "large", {})]),
    ]


def test_there_is_one_that_is_the_first() -> None:
    places = configuration(wanted_of(CLONES, settings({"name": "B", "scale": 1.0})))
    assert [primary for *_, primary, _ in places] == [True, False]
    wanted = wanted_of(CLONES, settings({"name": "A", "enabled": False}))
    assert [one.primary for one in wanted.values()] == [True]
    with pytest.raises(CommandError, match="one display must stay on"):
        wanted_of(ALONE, settings({"name": "A", "enabled": False}))


@dataclass
class Reply:
    signature: str
    body: Sequence[Any]


class StandinBus:
    """A session bus with a Mutter on it.

    Attributes:
        overtaken: how often something else changes before a change is asked for.
    """

    def __init__(self) -> None:
        self.serial = 1
        self.overtaken = 0
        self.asked: list[tuple[int, int]] = []
        self.signature = STATE
        self.scale = 1.0
        self.refresh = 60.0

    async def call(
        self,
        _name: str,
        _path: str,
        _interface: str,
        member: str,
        _signature: str = "",
        body: Any = (),
        **_: Any,
    ) -> Reply:
        if member == "NameHasOwner":
            return Reply("b", [True])
        if member == "GetCurrentState":
            return Reply(self.signature, [self.serial, *self._state()])
        self.asked.append((body[0], body[1]))
        if self.overtaken:
            self.overtaken -= 1
            self.serial += 1
            raise CallError("org.freedesktop.DBus.Error.AccessDenied", "stale information")
        if body[2][0][0] < 0 or body[2][0][2] > 2:
            raise CallError("org.freedesktop.DBus.Error.InvalidArgs", "Scale not supported by backend")
        return Reply("", [])

    def _state(self) -> list[Any]:
        properties = {"is-current": Variant("b", True), "is-preferred": Variant("b", True)}
        mode = ("800x600@60", 800, 600, self.refresh, 1.0, [1.0], properties)
        about = {"width-mm": Variant("i", 300), "height-mm": Variant("s", "nonsense")}
        name = ("A\x1b", "M" * 1000, "Screen", "SECRET")
        place: Any = (0, 0, self.scale, 9, True, [name, ("gone", "", "", "")], {})
        return [[(name, [mode], about)], [place], {"layout-mode": Variant("u", 1)}]


@pytest.fixture
def bus() -> StandinBus:
    return StandinBus()


@pytest.fixture
def outputs(bus: StandinBus) -> MutterOutputs:
    manager = UserManager()
    manager.bus = bus  # type: ignore[assignment]
    return MutterOutputs(manager)


async def test_what_it_says_is_bounded(outputs: MutterOutputs) -> None:
    assert await outputs.is_offered()
    (display,) = (await outputs.displays()).displays
    assert (display.name, len(str(display.make)), display.rotation) == ("A\ufffd", 128, "left")
    assert (display.width_mm, display.height_mm) == (300, UNSET)
    assert "SECRET" not in repr(display)


@pytest.mark.parametrize("number", [5e-324, 0.0, -1.0, float("inf"), float("nan")])
async def test_numbers_that_are_none(bus: StandinBus, outputs: MutterOutputs, number: float) -> None:
    bus.scale = number
    bus.refresh = -1.0 if number == 0 else number * 1e20
    (display,) = (await outputs.displays()).displays
    assert (display.scale, display.width, display.height) == (1.0, 600, 800)
    assert display.mode is not UNSET
    assert 0 <= display.mode.refresh < 1


async def test_it_is_verified_first(bus: StandinBus, outputs: MutterOutputs) -> None:
    setting = settings({"name": "A\ufffd", "rotation": "right"})
    await outputs.set(setting, test=True)
    assert bus.asked == [(1, 0)]
    await outputs.set(setting, test=False)
    assert bus.asked[1:] == [(1, 0), (1, 1)]
    with pytest.raises(CommandError, match="Scale not supported"):
        await outputs.set(settings({"name": "A\ufffd", "scale": 3.0}), test=False)


async def test_what_was_overtaken_is_asked_once_more(bus: StandinBus, outputs: MutterOutputs) -> None:
    setting = settings({"name": "A\ufffd", "rotation": "right"})
    bus.overtaken = 1
    await outputs.set(setting, test=False)
    assert bus.asked == [(1, 0), (2, 0), (2, 1)]
    bus.overtaken = 2
    with pytest.raises(CommandError, match="just changing"):
        await outputs.set(setting, test=False)


async def test_what_is_none_of_mutters(bus: StandinBus, outputs: MutterOutputs) -> None:
    bus.signature = "u"
    with pytest.raises(DisplayUnavailable, match="does not answer as it should"):
        await outputs.displays()


def test_places_in_the_monitors_pixels() -> None:
    properties = {"layout-mode": Variant("u", 2)}
    told = read_state([1, [], [], properties])
    assert told.size(Shown(LARGE, 0, 0, 2.0, 1, primary=True)) == (2160, 3840)
    assert ALONE.size(Shown(LARGE, 0, 0, 2.0, 1, primary=True)) == (1080, 1920)


@given(
    st.sampled_from([ALONE, CLONES]),
    st.lists(
        st.fixed_dictionaries(
            {"name": st.sampled_from(["A", "B"])},
            optional={
                "enabled": st.booleans(),
                "x": st.sampled_from([0, 100]),
                "y": st.sampled_from([0, -100]),
                "scale": st.sampled_from([1.0, 1.5, 2.0]),
                "primary": st.booleans(),
            },
        ),
        min_size=1,
        max_size=2,
    ),
)
def test_whatever_is_asked_for_is_a_configuration(before: MutterState, asked: list[dict[str, Any]]) -> None:
    try:
        places = configuration(wanted_of(before, settings(*asked)))
    except CommandError:
        return
    assert sum(primary for *_, primary, _ in places) == 1
    assert (min(place[0] for place in places), min(place[1] for place in places)) == (0, 0)
    names = [name for *_, group in places for name, _, _ in group]
    assert len(names) == len({*names})
