"""Waits between attempts: short at first, longer with each, never longer than a bound."""

from __future__ import annotations

import random
from collections.abc import Callable

import anyio

FIRST = 0.1
"""Seconds before the second attempt: a restarted bus or eventd is back within one or two of these."""

LONGEST = 30.0
"""Seconds at most: what is missing for long must not cost anything, and must be found within half a minute."""

_SPREAD = 0.2
"""Share of a delay that is random, so that the agents of many sessions do not all come at once."""


class Backoff:
    """The waits of one thing that is tried again.

    Args:
        first: seconds before the second attempt.
        longest: seconds that the wait grows to; an attempt that held that long starts from `first` again.
        clock: seconds that never go back.
    """

    def __init__(
        self, first: float = FIRST, longest: float = LONGEST, clock: Callable[[], float] = anyio.current_time
    ) -> None:
        self._first = first
        self._longest = longest
        self._clock = clock
        self._delay = first
        self._began = float("inf")

    def attempt(self) -> None:
        """An attempt begins."""
        self._began = self._clock()

    def next(self) -> float:
        """The attempt failed: seconds to wait before the next."""
        if self._clock() - self._began >= self._longest:
            self._delay = self._first
        delay, self._delay = self._delay, min(self._delay * 2, self._longest)
        return delay * (1 + random.random() * _SPREAD)  # noqa: S311 - no secret

    def reset(self) -> None:
        """It went well: begin with the short waits again."""
        self._delay = self._first
