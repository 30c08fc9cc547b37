"""What hosts may ask of displays, and what is told of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from guestmux_protocol.display_commands import (
    DISPLAY,
    MAX_DISPLAYS,
    Display,
    DisplayMode,
    Displays,
    SessionSetDisplays,
)
from guestmux_protocol.events import OF_AGENTS
from guestmux_protocol.schema import InvalidParameter

SET = DISPLAY["session-set-displays"]


def test_a_setting() -> None:
    asked = SET.parse(
        {"displays": [{"name": "Virtual-1", "width": 1920, "height": 1080, "rotation": "left"}]}
    )
    assert isinstance(asked, SessionSetDisplays)
    (setting,) = asked.displays
    assert (setting.width, setting.height, setting.rotation) == (1920, 1080, "left")
    assert (setting.enabled, setting.x, asked.test) == (msgspec.UNSET, msgspec.UNSET, False)


@pytest.mark.parametrize(
    "displays",
    [
        [],
        [{"name": "A"}] * (MAX_DISPLAYS + 1),
        [{"name": ""}],
        [{"width": 1}],
        [{"name": "A", "width": 0}],
        [{"name": "A", "height": 16_385}],
        [{"name": "A", "x": 40_000}],
        [{"name": "A", "refresh": 0}],
        [{"name": "A", "scale": 11}],
        [{"name": "A", "rotation": "sideways"}],
        [{"name": "A", "brightness": 1}],
    ],
)
def test_what_is_no_setting(displays: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidParameter):
        SET.parse({"displays": displays})


def test_a_display_as_it_is_told() -> None:
    mode = DisplayMode(width=800, height=600, refresh=59.96, preferred=True)
    off = Display(name="Virtual-1", connected=True, enabled=False, modes=[mode])
    told = msgspec.to_builtins(Displays(displays=[off], truncated=False))
    assert told == {
        "displays": [
            {
                "name": "Virtual-1",
                "connected": True,
                "enabled": False,
                "rotation": "normal",
                "mirrored": False,
                "modes": [{"width": 800, "height": 600, "refresh": 59.96, "preferred": True}],
                "modes-truncated": False,
            }
        ],
        "truncated": False,
    }


def test_agents_tell_of_changes() -> None:
    assert OF_AGENTS["DISPLAY_CHANGED"].keep == "last"
