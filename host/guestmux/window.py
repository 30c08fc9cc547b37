"""What a consumer is done with, for a guest that sends no more than a number of events ahead of that."""

from __future__ import annotations

from collections.abc import Callable


class Window:
    """Decides when to acknowledge: at half of the window, or when the consumer has nothing to do.

    Args:
        size: events that may be under way.
        wake: called when there is something to acknowledge.
    """

    def __init__(self, size: int, wake: Callable[[], None]) -> None:
        self._every = max(size // 2, 1)
        self._wake = wake
        self._count = 0
        self._settled = 0
        self._acknowledged = 0

    def __repr__(self) -> str:
        return f"<Window {self._acknowledged}..{self._settled}>"

    def done(self, settled: int, *, idle: bool) -> None:
        """Note that the consumer asks for the next event.

        Args:
            settled: the number up to which it is done.
            idle: whether there is none.
        """
        self._count += 1
        self._settled = settled
        if settled > self._acknowledged and (idle or self._count >= self._every):
            self._wake()

    def take(self) -> int | None:
        """What to acknowledge now; None: nothing."""
        if self._settled <= self._acknowledged:
            return None
        self._count, self._acknowledged = 0, self._settled
        return self._acknowledged

    def reset(self, base: int) -> None:
        """Begin anew behind a number: the guest knows nothing of what was acknowledged, or numbers begin anew."""
        self._count, self._settled, self._acknowledged = 0, base, base
