"""How long to wait before the next attempt to reach a guest."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST = 0.1
"""Seconds before the first new attempt: eventd restarts in less."""

LONGEST = 5.0
"""Seconds between attempts in the end: a guest that boots is met soon, one that is off costs nothing."""

FACTOR = 2.0

JITTER = 0.25
"""Part of each pause that is left to chance, so that the hosts of a hundred guests do not dial in step."""


class Backoff:
    """Growing pauses, bounded.

    Args:
        chance: gives numbers from 0 to 1.
    """

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._pause = FIRST

    def next(self) -> float:
        """Seconds to wait now."""
        pause, self._pause = self._pause, min(self._pause * FACTOR, LONGEST)
        return pause * (1 - JITTER * self._chance())

    def reset(self) -> None:
        """The guest answered: begin anew."""
        self._pause = FIRST
