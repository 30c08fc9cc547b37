"""Times of many like things, in milliseconds."""

from __future__ import annotations

from collections.abc import Callable


class Latencies:
    """Collects times; as text: how many, their median and the longest."""

    def __init__(self) -> None:
        self._milliseconds: list[float] = []

    def __len__(self) -> int:
        return len(self._milliseconds)

    def __str__(self) -> str:
        if not self._milliseconds:
            return "0"
        ordered = sorted(self._milliseconds)
        return f"{len(ordered)}: median {ordered[len(ordered) // 2]:.1f} ms, longest {ordered[-1]:.1f} ms"

    def add(self, milliseconds: float) -> float:
        """Add one; returns it."""
        self._milliseconds.append(milliseconds)
        return milliseconds


class Stopwatch:
    """Measures one thing from now on.

    Args:
        now: a clock in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._began = now()

    @property
    def milliseconds(self) -> float:
        """Since it began."""
        return (self._now() - self._began) * 1000
