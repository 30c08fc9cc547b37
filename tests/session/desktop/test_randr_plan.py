"""What an X server is to be told, worked out; graphics cards that can more than those that tests have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert

from guestmux_protocol.display_commands import DisplaySetting
from guestmux_session.desktop import randr_wire as randr
from guestmux_session.desktop.randr_plan import Plan, Screen, plan, quarters_of
from guestmux_session.desktop.randr_wire import Crtc, Mode, Output
from guestmux_session.errors import CommandError

ALL = 0b111111
LARGE = Mode(101, 1920, 1080, 148_500_000, (2008, 2052, 2200), (1084, 1089, 1125), name=b"1920x1080")
SMALL = Mode(102, 800, 600, 40_000_000, (840, 968, 1056), (601, 605, 628), name=b"800x600")


def crtc(number: int, *outputs: int, x: int = 0, rotation: int = randr.ROTATE_0) -> Crtc:
    return Crtc(number, x, 0, 1920, 1080, LARGE.id if outputs else 0, rotation, ALL, outputs)


def output(number: int, fed_by: int = 0) -> Output:
    return Output(number, f"O{number}", fed_by, True, 0, 0, (11, 12), (LARGE.id, SMALL.id), 1)


def screen(*outputs: Output, crtcs: tuple[Crtc, ...]) -> Screen:
    by_id = {one.id: one for one in outputs}
    modes = {mode.id: mode for mode in (LARGE, SMALL)}
    all_crtcs = {one.id: one for one in crtcs}
    return Screen(1, by_id, all_crtcs, modes, outputs[0].id, (1920, 1080), (8, 8), (8192, 8192))


def planned(before: Screen, *settings: dict[str, Any]) -> Plan:
    return plan(before, convert([*settings], list[DisplaySetting]))


SINGLE = screen(output(1, 11), output(2), crtcs=(crtc(11, 1), crtc(12)))
SIDE_BY_SIDE = screen(output(1, 11), output(2, 12), crtcs=(crtc(11, 1), crtc(12, 2, x=1920)))
CLONES = screen(output(1, 11), output(2, 11), crtcs=(crtc(11, 1, 2), crtc(12)))


@pytest.mark.parametrize(
    ("rotation", "mirrored", "bits"),
    [
        ("normal", False, randr.ROTATE_0),
        ("left", False, randr.ROTATE_90),
        ("inverted", True, randr.ROTATE_180 | randr.REFLECT_X),
        ("right", True, randr.ROTATE_270 | randr.REFLECT_X),
    ],
)
def test_turned(rotation: str, mirrored: bool, bits: int) -> None:
    to = planned(SINGLE, {"name": "O1", "rotation": rotation, "mirrored": mirrored})
    ((shown, outputs),) = to.shown.values()
    assert (shown.rotation, outputs) == (bits, (1,))
    assert to.size == ((1080, 1920) if rotation in ("left", "right") else (1920, 1080))


def test_upside_down_is_mirrored_and_turned_by_half() -> None:
    assert quarters_of(randr.ROTATE_0 | randr.REFLECT_Y) == (2, True)
    assert quarters_of(randr.ROTATE_90 | randr.REFLECT_X | randr.REFLECT_Y) == (3, False)


def test_what_stays_keeps_what_feeds_it() -> None:
    to = planned(SIDE_BY_SIDE, {"name": "O1", "width": 800, "height": 600})
    assert {number: outputs for number, (_, outputs) in to.shown.items()} == {11: (1,), 12: (2,)}
    assert (to.shown[12][0].x, to.size) == (1920, (3840, 1080))


def test_left_of_everything_moves_everything() -> None:
    to = planned(SIDE_BY_SIDE, {"name": "O2", "width": 800, "height": 600, "x": -800, "y": 0})
    assert [(shown.x, shown.y) for shown, _ in to.shown.values()] == [(800, 0), (0, 0)]
    assert to.size == (2720, 1080)


def test_one_of_two_that_show_the_same_gets_a_picture_of_its_own() -> None:
    to = planned(CLONES, {"name": "O2", "width": 800, "height": 600, "x": 1920, "y": 0})
    assert {number: (shown.mode.name, outputs) for number, (shown, outputs) in to.shown.items()} == {
        11: (b"1920x1080", (1,)),
        12: (b"800x600", (2,)),
    }


def test_two_that_show_the_same_go_on_so() -> None:
    both = {"width": 800, "height": 600}
    to = planned(CLONES, {"name": "O1", **both}, {"name": "O2", **both})
    assert {number: outputs for number, (_, outputs) in to.shown.items()} == {11: (1, 2)}
    to = planned(CLONES, {"name": "O1", "enabled": False})
    assert {number: outputs for number, (_, outputs) in to.shown.items()} == {11: (2,)}
    # The first display is off.
    assert to.primary == randr.NONE


def test_no_picture_is_left() -> None:
    three = screen(output(1, 11), output(2, 12), output(3), crtcs=(crtc(11, 1), crtc(12, 2, x=1920)))
    with pytest.raises(CommandError, match="no picture left"):
        planned(three, {"name": "O3", "enabled": True})
    to = planned(three, {"name": "O3", "enabled": True}, {"name": "O2", "enabled": False})
    assert {number: outputs for number, (_, outputs) in to.shown.items()} == {11: (1,), 12: (3,)}


def test_what_xrandr_has_scaled_stays_so_until_it_is_set_otherwise() -> None:
    wide = Crtc(11, 0, 0, 2880, 1620, LARGE.id, randr.ROTATE_0, ALL, (1,))
    before = screen(output(1, 11), output(2), crtcs=(wide, crtc(12)))
    to = planned(before, {"name": "O2", "enabled": True})
    assert (to.shown[12][0].x, to.size) == (2880, (4800, 1620))
    assert planned(before, {"name": "O1", "primary": True}).size == (2880, 1620)
    assert planned(before, {"name": "O1", "rotation": "left"}).size == (1080, 1920)


def test_what_is_switched_on_is_right_of_the_others_in_its_preferred_mode() -> None:
    to = planned(SINGLE, {"name": "O2", "enabled": True})
    shown, _ = to.shown[12]
    assert (shown.mode, shown.x, to.size) == (LARGE, 1920, (3840, 1080))


def test_a_mode_that_was_made_before_is_not_made_again() -> None:
    made = Mode(103, 1000, 700, 1, (1, 1, 1), (1, 1, 1), name=b"guestmux-1000x700-60")
    before = screen(output(1, 11), crtcs=(crtc(11, 1),))
    before = Screen(**{**vars(before), "modes": {**before.modes, made.id: made}})
    to = planned(before, {"name": "O1", "width": 1000, "height": 700})
    assert to.shown[11][0].mode.id == made.id


SETTINGS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["O1", "O2", "O3"])},
        optional={
            "enabled": st.booleans(),
            "width": st.sampled_from([800, 1920, 1000]),
            "height": st.sampled_from([600, 1080]),
            "x": st.integers(-4000, 4000),
            "y": st.integers(-4000, 4000),
            "rotation": st.sampled_from(["normal", "left", "inverted", "right"]),
            "mirrored": st.booleans(),
            "primary": st.booleans(),
        },
    ),
    min_size=1,
    max_size=3,
)
SCREENS = st.sampled_from(
    [
        screen(output(1, 11), output(2), output(3), crtcs=(crtc(11, 1), crtc(12), crtc(13))),
        screen(output(1, 11), output(2, 11), output(3, 12), crtcs=(crtc(11, 1, 2), crtc(12, 3, x=1920))),
        screen(output(1, 11), output(2, 12), output(3), crtcs=(crtc(11, 1), crtc(12, 2, x=1920))),
    ]
)


@given(SCREENS, SETTINGS)
def test_whatever_is_asked_for_fits_or_is_refused(before: Screen, asked: list[dict[str, Any]]) -> None:
    try:
        to = planned(before, *asked)
    except CommandError:
        return
    fed = [number for _, outputs in to.shown.values() for number in outputs]
    assert sorted(fed) == sorted({*fed})
    assert all(
        number in before.outputs[one].crtcs for number, (_, outputs) in to.shown.items() for one in outputs
    )
    areas = [shown.area for shown, _ in to.shown.values()]
    assert (min(x for x, *_ in areas), min(y for _, y, *_ in areas)) == (0, 0)
    assert to.size == (
        max(x + width for x, _, width, _ in areas),
        max(y + height for _, y, _, height in areas),
    )
    assert all(most >= side for most, side in zip(before.most, to.size, strict=True))
    on = {setting["name"] for setting in asked if setting.get("enabled", True)}
    assert {before.outputs[number].name for number in fed} >= on
