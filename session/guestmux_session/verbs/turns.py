"""How many of a kind there may be at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from guestmux_session.errors import CommandError


class Turns:
    """Counts who is under way.

    Args:
        limit: how many may be.
        things: what they are called.
    """

    def __init__(self, limit: int, things: str) -> None:
        self._limit = limit
        self._things = things
        self._taken = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Be one of them for the block.

        Raises:
            CommandError: there are as many as may be.
        """
        if self._taken >= self._limit:
            raise CommandError(f"{self._limit} {self._things} are under way; try again when one has ended")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
