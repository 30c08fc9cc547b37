"""What a source of idleness is: something that knows since when nobody has used the session's keyboard and pointer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class IdleSource(Protocol):
    """It tells by itself when somebody has been away for long, and when he is back; nobody asks it again and again.

    Attributes:
        name: as session-get-info shows it.
    """

    name: str

    async def follow(self, seconds: float, tell: Callable[[bool], None]) -> None:
        """Tell whether the session is idle, now and whenever that changes.

        Args:
            seconds: without input that make it idle.
            tell: told; it must be quick.

        Raises:
            DisplayError: it was lost, or cannot.
        """

    async def idle_for(self) -> float | None:
        """Seconds since the last input; None where it does not tell. Raises DisplayError."""
