"""TIME_CHANGED, by how far two clocks moved apart."""

from __future__ import annotations

import pytest

from guestmux_eventd.session_table import Emission
from guestmux_eventd.time_source import TimeSource, wall_clock_offset
from guestmux_protocol.events import TimeChanged


class Clocks:
    offset = 1000.0

    def __call__(self) -> float:
        return self.offset


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def jumps(clocks: Clocks, *offsets: float) -> list[float]:
    told: list[Emission] = []
    source = TimeSource(told.extend, clocks)
    for offset in offsets:
        clocks.offset = offset
        source.clock_was_set()
    assert {name for name, _data in told} <= {"TIME_CHANGED"}
    return [data.offset for _name, data in told if isinstance(data, TimeChanged)]


def test_a_jump_is_told_with_its_size(clocks: Clocks) -> None:
    assert jumps(clocks, 4600.0, 4600.0, 1000.25) == [3600.0, -3599.75]


def test_small_steps_add_up(clocks: Clocks) -> None:
    assert jumps(clocks, 1000.3, 1000.4, 1000.6, 1000.7) == [0.6]


def test_the_real_clocks_stay_together() -> None:
    assert wall_clock_offset() == pytest.approx(wall_clock_offset(), abs=60)
