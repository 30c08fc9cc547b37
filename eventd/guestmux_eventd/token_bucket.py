"""A bound on how often something may happen, with a burst allowed."""

from __future__ import annotations

from collections.abc import Callable


class TokenBucket:
    """Tokens that refill with time; each use takes one.

    Args:
        rate: tokens a second.
        burst: the most that can be saved up.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = burst
        self._filled = clock()

    def __repr__(self) -> str:
        return f"<TokenBucket {self._tokens:.0f}/{self._burst:.0f} at {self._rate:.0f}/s>"

    @property
    def is_full(self) -> bool:
        """Whether it is as good as a new one."""
        return self._tokens + (self._clock() - self._filled) * self._rate >= self._burst

    def take(self) -> bool:
        """Take a token; False when there is none."""
        now = self._clock()
        tokens = self._tokens + (now - self._filled) * self._rate
        if tokens > self._burst:
            tokens = self._burst
        self._filled = now
        may = tokens >= 1
        self._tokens = tokens - may
        return may
