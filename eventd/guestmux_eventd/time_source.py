"""Jumps of the wall clock: when somebody sets it, and when it is set after the machine slept."""

from __future__ import annotations

import time
from collections.abc import Callable

from guestmux_eventd.session_table import Emission
from guestmux_protocol.events import TimeChanged

LEAST_JUMP = 0.5
"""Seconds that count as a jump. Time services correct less than that by steps as well, and often."""

Offset = Callable[[], float]


def wall_clock_offset() -> float:
    """Seconds by which the wall clock is ahead of the time since the boot, sleep included; constant until it is set."""
    return time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_BOOTTIME)


class TimeSource:
    """Compares the wall clock with one that nobody can set.

    Args:
        publish: takes the events.
        offset: how far apart the two are.
    """

    def __init__(
        self, publish: Callable[[list[Emission]], object], offset: Offset = wall_clock_offset
    ) -> None:
        self._publish = publish
        self._offset = offset
        self._known = offset()

    def __repr__(self) -> str:
        return f"<TimeSource {self._known:.3f}>"

    def clock_was_set(self) -> None:
        """Look how far it jumped. Small steps add up until they are told."""
        jump = self._offset() - self._known
        if abs(jump) >= LEAST_JUMP:
            self._known += jump
            self._publish([("TIME_CHANGED", TimeChanged(offset=round(jump, 6)))])
