"""Deadlines that are nearly always met: one timer of the loop's for all of them."""

from __future__ import annotations

import asyncio
import math
from typing import Protocol


class Timed(Protocol):
    """Something with a deadline.

    Attributes:
        ends: when that is, by the loop's clock; set when it is added.
    """

    ends: float

    def expire(self) -> None:
        """The time is up, and it has no deadline any more."""


class Deadlines:
    """What has a deadline.

    A timer for each costs a call as much as to find its agent. Here one stands at the earliest deadline that there
    was; when it fires, which it also does once after the last was met, it looks for the next.
    """

    __slots__ = ("_looks_at", "_open", "_timer")

    def __init__(self) -> None:
        self._open: dict[Timed, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = math.inf

    def __repr__(self) -> str:
        return f"<Deadlines {len(self._open)}>"

    def add(self, timed: Timed, seconds: float) -> None:
        """Have something expire after so many seconds."""
        loop = asyncio.get_running_loop()
        timed.ends = loop.time() + seconds
        self._open[timed] = None
        if timed.ends < self._looks_at:
            self._look_at(timed.ends)

    def drop(self, timed: Timed) -> None:
        """It has no deadline any more; nothing where it had none."""
        self._open.pop(timed, None)

    def _look_at(self, time: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._looks_at = time
        self._timer = asyncio.get_running_loop().call_at(time, self._look)

    def _look(self) -> None:
        self._timer, self._looks_at = None, math.inf
        now = asyncio.get_running_loop().time()
        try:
            due = [timed for timed in self._open if timed.ends <= now]
            for timed in sorted(due, key=_ends):
                self._expire(timed)
        finally:
            if self._open:
                self._look_at(min(map(_ends, self._open)))

    def _expire(self, timed: Timed) -> None:
        """Unless what expired before it dropped it."""
        if timed in self._open:
            del self._open[timed]
            timed.expire()


def _ends(timed: Timed) -> float:
    return timed.ends
